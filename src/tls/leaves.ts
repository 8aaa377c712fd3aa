import { generateKeyPairSync } from 'node:crypto';
import { createSecureContext, type SecureContext } from 'node:tls';
import type { Leaf } from './profile.ts';
import type { Root } from './root.ts';
import { serverName } from './server-name.ts';

const day = 24 * 60 * 60 * 1000;
/** Renewed this long before the end, so that a client with a wrong clock does not meet an expired certificate. */
const renewal = 30 * day;
const heldAtMost = 256;

/** A certificate for the names it was made for, ready to be shown. */
export interface ServerCertificate {
  /** PEM. */
  readonly cert: string;
  /** PEM. */
  readonly key: string;
  readonly context: SecureContext;
}

interface Minted extends ServerCertificate {
  readonly leaf: Leaf;
}

/** The server certificates, made when they are first needed and again well before they end. */
export interface Leaves {
  /** The one for our own names; the same object until it is renewed. */
  own(): ServerCertificate;
  /** The context for a server name as the client sent it; `undefined` for a name that is not ours to answer for. */
  secureContext(servername: string): SecureContext | undefined;
}

export interface LeavesOptions {
  /** Our own host names and addresses; those that the root does not cover are left out. */
  readonly own: readonly string[];
  /** Whether a host name (lower case) is one that we answer for beside our own. */
  readonly presented: (name: string) => boolean;
  /** The name that its certificate is to be made for instead, such as a wildcard. */
  readonly certified?: (name: string) => string | undefined;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
}

/** All certificates share one key, which lives as long as they do. Throws when the root covers none of our own names. */
export function createLeaves(root: Root, options: LeavesOptions): Leaves {
  const now = options.now ?? Date.now;
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const key = privateKey.export({ format: 'pem', type: 'pkcs8' });
  const own = [...new Set(options.own.map((name) => serverName(name) ?? name))].filter(root.covers);
  if (own.length === 0) throw new Error(`the root CA covers none of our own names: ${options.own.join(', ')}`);
  let ownCertificate = mint(own);
  /** By host name, the one used last at the end. */
  const held = new Map<string, Minted>();

  return {
    own: useOwn,
    secureContext: (servername) => {
      const name = serverName(servername);
      if (name === undefined) return undefined;
      if (own.includes(name)) return useOwn().context;
      const certified = options.certified?.(name) ?? name;
      return options.presented(name) && root.covers(certified) ? usePresented(certified).context : undefined;
    },
  };

  function useOwn(): ServerCertificate {
    if (!isFresh(ownCertificate.leaf, root, now())) ownCertificate = mint(own);
    return ownCertificate;
  }

  function usePresented(name: string): ServerCertificate {
    const found = held.get(name);
    const certificate = found !== undefined && isFresh(found.leaf, root, now()) ? found : mint([name]);
    held.delete(name);
    held.set(name, certificate);
    const [oldest] = held.keys();
    if (held.size > heldAtMost && oldest !== undefined) held.delete(oldest);
    return certificate;
  }

  function mint(names: readonly string[]): Minted {
    const leaf = root.issueLeaf(names, publicKey, now());
    const cert = leaf.certificatePem;
    return { leaf, cert, key, context: createSecureContext({ key, cert }) };
  }
}

/** Asked at every use with the wall clock, which may have jumped either way since the last. */
function isFresh(leaf: Leaf, root: Root, now: number): boolean {
  if (now < leaf.notBefore) return false;
  // A leaf that ends with its root cannot be had any longer.
  return now < leaf.notAfter - renewal || leaf.notAfter >= root.notAfter.getTime();
}
