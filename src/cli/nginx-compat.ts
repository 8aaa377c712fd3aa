import { generateKeyPairSync, randomUUID, X509Certificate } from 'node:crypto';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Config } from '../config/config.ts';
import { ConfigError } from '../config/error.ts';
import { frontOf, namesOf, remarkOn } from '../nginx/front.ts';
import { MARK, render } from '../nginx/render.ts';
import { readBrought } from '../tls/brought.ts';
import { type Root, readRoot } from '../tls/root.ts';

export interface NginxOptions {
  readonly out?: string | undefined;
  readonly json?: boolean | undefined;
}

/** The include files of an nginx in front, written below a directory or to standard output. */
export async function renderFront(config: Config, { out, json }: NginxOptions): Promise<string> {
  const files = render(frontOf(config, await broughtNames(config)));
  tell(remarkOn(config));
  if (out === undefined && json === true) return `${JSON.stringify(Object.fromEntries(files))}\n`;
  if (out === undefined) return [...files].map(([path, text]) => `## ${path}\n${text}`).join('\n');
  const paths = [...files.keys()].map((path) => join(out, path));
  for (const path of paths) await refuseForeign(path);
  for (const [path, text] of files) await publish(join(out, path), text, 0o644);
  return json === true ? `${JSON.stringify({ files: paths })}\n` : paths.map((path) => `${path}\n`).join('');
}

/**
 * A certificate of ours with its key, in one file that only its owner reads, for an nginx that ends TLS. Made anew when
 * it is for other names, by another root, or in its last 30 days.
 */
export async function writeCertificate(config: Config, { out, json }: NginxOptions): Promise<string> {
  if (out === undefined) throw new ConfigError(['expected --out FILE: the certificate and its key are written there']);
  const root = await readRoot(config.certs.dir, 'ca');
  if (root === undefined) throw new Error(`there is no root CA in ${config.certs.dir} yet: start the gateway once`);
  const { own } = namesOf(config, await broughtNames(config));
  const names = own.filter(root.covers);
  for (const name of own) if (!root.covers(name)) tell(`the root CA does not cover ${name}: it is left out (ca renew)`);
  if (names.length === 0) throw new Error('the root CA covers none of the names that nginx is to answer for');
  const kept = await endOf(out, root, names);
  const validUntil = kept ?? (await makeCertificate(out, root, names));
  if (json === true) return `${JSON.stringify({ file: out, isNew: kept === undefined, validUntil })}\n`;
  return kept === undefined
    ? `${out} is new: valid until ${validUntil}; let nginx read it (nginx -s reload)\n`
    : `${out} stays: valid until ${validUntil}\n`;
}

/** When it ends. */
async function makeCertificate(file: string, root: Root, names: readonly string[]): Promise<string> {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const { certificatePem, notAfter } = root.issueLeaf(names, publicKey);
  const key = privateKey.export({ format: 'pem', type: 'pkcs8' });
  await publish(file, `${certificatePem.trimEnd()}\n${key}`, 0o600);
  return new Date(notAfter).toISOString();
}

const BEGIN = '-----BEGIN CERTIFICATE-----';
const RENEWAL = 30 * 24 * 60 * 60 * 1000;

/** When the certificate in a file ends; `undefined` unless it can go on serving. */
async function endOf(file: string, root: Root, names: readonly string[]): Promise<string | undefined> {
  const text = await readIfThere(file);
  if (text === undefined) return undefined;
  const certificate = text.startsWith(BEGIN) ? new X509Certificate(text) : undefined;
  if (certificate?.issuer.split('\n').includes('O=Layover') !== true)
    throw new ConfigError([`--out ${file}: is there already and no certificate of ours; name another file`]);
  const end = certificate.validToDate;
  const isOurs = certificate.verify(new X509Certificate(root.certificatePem).publicKey);
  return isOurs && isFor(certificate, names) && end.getTime() - Date.now() > RENEWAL ? end.toISOString() : undefined;
}

function isFor(certificate: X509Certificate, names: readonly string[]): boolean {
  const said = certificate.subjectAltName?.split(', ') ?? [];
  const has = (name: string): boolean => said.includes(`DNS:${name}`) || certificate.checkIP(name) !== undefined;
  return said.length === names.length && names.every(has);
}

async function broughtNames({ certs }: Config): Promise<(name: string) => boolean> {
  const brought = certs.brought && (await readBrought(certs.brought));
  return (name) => brought?.covers(name.replace('*', 'any')) === true;
}

async function refuseForeign(path: string): Promise<void> {
  const text = await readIfThere(path);
  if (text !== undefined && !text.startsWith(MARK))
    throw new ConfigError([
      `${path}: is there already and was not made by this command; move it away or name another directory`,
    ]);
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Whole or not at all: nginx may read it at any time. */
async function publish(path: string, text: string, mode: number): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const temporary = `${path}.${randomUUID()}`;
  try {
    await writeFile(temporary, text, { flag: 'wx', mode });
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

function tell(remark: string | undefined): void {
  if (remark !== undefined) process.stderr.write(`${remark}\n`);
}
