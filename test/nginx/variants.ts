import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { loadConfig } from '../../src/config/load.ts';
import { frontOf } from '../../src/nginx/front.ts';
import { render } from '../../src/nginx/render.ts';
import { checkNginx, writeMainConfig } from './inside.ts';

const long = `${'long-'.repeat(11)}name.${'of-a-zone-'.repeat(5)}x.example.com`;

/** Configurations of which each makes nginx read something else, by what it is about. */
export const VARIANTS: Readonly<Record<string, string>> = {
  'the defaults': '',
  'addresses and many names': 'names: [cache.lan, 192.0.2.7, "2001:db8::7", cache.example.com]',
  wildcards: 'upstreams: { acr: { hosts: ["*.azurecr.io"] }, ecr: { alias: ecr, hosts: ["*.dkr.ecr.example.com"] } }',
  'long names': `upstreams: { long: { hosts: [${long}], urls: ["https://${long}"] } }`,
  'a plain listener on IPv6': 'listen: { http: "[::1]:5000" }',
  'a certificate made elsewhere': 'certs: { chain: "with blank.pem", key: "with blank.pem" }',
};

/** What nginx says of each; `certificate` is a file that serves for all. */
export async function checkVariants(dir: string, certificate: string): Promise<Record<string, string>> {
  const said: Record<string, string> = {};
  for (const [title, text] of Object.entries(VARIANTS)) {
    const prefix = join(dir, title.replaceAll(' ', '-'));
    await writeMainConfig(prefix, '  include conf.d/*.conf;');
    for (const name of ['layover.pem', 'with blank.pem']) await copyFile(certificate, join(prefix, name));
    const config = await loadConfig({ file: 'gateway.yaml', text, env: {}, cwd: prefix });
    const isBrought = (name: string): boolean => config.certs.brought !== undefined && name === 'ghcr.io';
    for (const [path, content] of render(frontOf(config, isBrought))) {
      await mkdir(dirname(join(prefix, path)), { recursive: true });
      await writeFile(join(prefix, path), content);
    }
    said[title] = await checkNginx(prefix).catch(String);
  }
  return said;
}
