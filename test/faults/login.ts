import type { Client } from '../support/client.ts';

/** The imitated docker.io by its own name, where clients log in. */
export const HOST = 'registry-1.docker.io';

/** The header fields of a token for as much of the repositories as the user may read; nobody logs in without a name. */
export async function login(
  client: Client,
  names: readonly string[],
  user?: string,
  password?: string,
): Promise<Record<string, string>> {
  const url = new URL(`https://${HOST}/v2/_layover/token?service=registry.docker.io`);
  for (const name of names) url.searchParams.append('scope', `repository:${name}:pull`);
  const basic = Buffer.from(`${user}:${password}`).toString('base64');
  const headers: Record<string, string> = user === undefined ? {} : { authorization: `Basic ${basic}` };
  const { body } = await client.request(url, { headers });
  const { token } = JSON.parse(body.toString()) as { token?: string };
  return token === undefined ? {} : { authorization: `Bearer ${token}` };
}
