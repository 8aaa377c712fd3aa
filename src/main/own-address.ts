import { networkInterfaces } from 'node:os';

/** Whether an IP address is one of this machine. */
export function isOwnAddress(address: string): boolean {
  if (address.startsWith('127.') || address === '::1' || address === '0.0.0.0' || address === '::') return true;
  return Object.values(networkInterfaces()).some((addresses) => addresses?.some((own) => own.address === address));
}
