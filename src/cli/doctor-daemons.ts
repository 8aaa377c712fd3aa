import type { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type ClientsFacts, judgeClients } from '../doctor/clients.ts';
import { probeChange, probeDaemons } from '../doctor/clients-probe.ts';
import type { Finding } from '../doctor/finding.ts';
import type { RegistryName } from '../doctor/names.ts';
import { certificatesIn } from '../doctor/roots.ts';
import { systemBundle } from '../doctor/trust-places.ts';
import { CONTAINERD_CONFIG, containerdSetting } from '../setup/containerd.ts';

/** Whether the daemons of the machine below `root` use what was set up for them. */
export async function daemons(
  root: string,
  roots: readonly X509Certificate[],
  names: readonly RegistryName[],
  mirrors: readonly string[],
): Promise<readonly Finding[]> {
  const bundle = await trustingBundle(root, roots);
  const unread = await unreadHosts(root, mirrors);
  return judgeClients({
    daemons: await probeDaemons(),
    isLed: names.some(({ here }) => here.length > 0),
    ...(bundle && { bundle }),
    ...(unread && { unread }),
  });
}

/** The bundle, where it holds one of the roots. */
async function trustingBundle(root: string, roots: readonly X509Certificate[]): Promise<ClientsFacts['bundle']> {
  const bundle = await systemBundle(root);
  if (bundle === undefined) return undefined;
  const known = new Set(roots.map(({ fingerprint256 }) => fingerprint256));
  const trusts = certificatesIn(bundle.text).some(({ fingerprint256 }) => known.has(fingerprint256));
  return trusts ? probeChange(root, bundle.file) : undefined;
}

const DIRECTORY = '/etc/containerd/certs.d';

/** By the rules that `layover setup` goes by; without a configuration, it depends on the version of containerd. */
async function unreadHosts(root: string, mirrors: readonly string[]): Promise<ClientsFacts['unread']> {
  if (!mirrors.some((file) => file.startsWith(`${DIRECTORY}/`))) return undefined;
  const text = await readFile(join(root, CONTAINERD_CONFIG), 'utf8').catch(() => '');
  if (text.trim() === '') return undefined;
  const { certs, edit, remark } = containerdSetting(text, undefined);
  if (edit !== undefined)
    return { directory: DIRECTORY, lack: 'layover setup containerd --gateway HOST --apply, then restart containerd' };
  if (remark !== undefined) return { directory: DIRECTORY, lack: remark };
  return certs === DIRECTORY
    ? undefined
    : { directory: DIRECTORY, lack: `move them to ${certs}, which is config_path` };
}
