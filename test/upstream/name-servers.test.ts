import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { systemServers } from '../../src/upstream/name-servers.ts';

test('behind a local resolver that reads the hosts file, the servers that it asks are asked', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'layover-servers-'));
  t.teardown(() => rm(dir, { recursive: true, force: true }));
  const file = join(dir, 'resolv.conf');
  await writeFile(
    file,
    '# made by resolved\nnameserver 192.0.2.53\nnameserver 2001:db8::53%eth0\nnameserver 127.0.0.1\nsearch lan\n',
  );
  t.deepEqual(systemServers(['127.0.0.53'], file), ['192.0.2.53', '2001:db8::53']);
  t.deepEqual(systemServers(['[::1]:53'], file), ['192.0.2.53', '2001:db8::53']);
  t.deepEqual(systemServers(['192.0.2.1', '127.0.0.53'], file), ['192.0.2.1', '127.0.0.53']);
  t.deepEqual(systemServers(['127.0.0.53'], join(dir, 'absent')), ['127.0.0.53']);
  await writeFile(file, 'nameserver 127.0.0.1\n');
  t.deepEqual(systemServers(['127.0.0.53'], file), ['127.0.0.53']);
});
