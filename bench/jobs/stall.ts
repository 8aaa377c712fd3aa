import { setTimeout as sleep } from 'node:timers/promises';
import type { TLSSocket } from 'node:tls';
import { headOf, secure } from '../connection.ts';
import type { Job } from './job.ts';

const stalled: TLSSocket[] = [];
/** Milliseconds in which servers send what the sockets of both sides hold. */
const SETTLING = 1000;

/** Asks on each of so many connections and reads nothing until it is released. */
export async function stall({ target, connections, request }: Job & { kind: 'stall' }): Promise<void> {
  for (let at = 0; at < connections; at++) {
    const socket = await secure(target);
    socket.write(headOf(request));
    stalled.push(socket);
  }
  await sleep(SETTLING);
}

export function release(): void {
  for (const socket of stalled.splice(0)) socket.destroy();
}
