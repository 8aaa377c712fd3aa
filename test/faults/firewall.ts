import { execute } from './namespace.ts';

/** Lets packets get lost inside a network namespace, until it is disposed of. */
export class Firewall implements AsyncDisposable {
  static async raise(): Promise<Firewall> {
    await nft('add', 'table', 'ip', 'faults');
    // On their way in: what is lost on its way out is an error to who sends it.
    await nft('add', 'chain', 'ip', 'faults', 'in', '{ type filter hook input priority 0; }');
    return new Firewall();
  }

  /** Whatever is sent there is never heard of again. */
  async swallow(address: string): Promise<void> {
    await nft('add', 'rule', 'ip', 'faults', 'in', 'ip', 'daddr', address, 'drop');
  }

  /** Of the packets from and to TCP ports this percentage gets lost. */
  async lose(percentage: number, ports: readonly number[]): Promise<void> {
    const chance = ['numgen', 'random', 'mod', '100', '<', `${percentage}`, 'drop'];
    for (const side of ['sport', 'dport']) {
      await nft('add', 'rule', 'ip', 'faults', 'in', 'tcp', side, `{ ${ports.join(', ')} }`, ...chance);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await nft('delete', 'table', 'ip', 'faults');
  }
}

async function nft(...words: readonly string[]): Promise<void> {
  await execute('nft', [...words]);
}
