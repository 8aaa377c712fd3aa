import { createHmac, randomBytes } from 'node:crypto';

/** Signs URLs of the CDN the way object stores do: for one method, for a limited time. */
export class Signatures {
  #key = randomBytes(16);
  /** Milliseconds that a signed URL lives. */
  readonly life: number;

  constructor(life: number) {
    this.life = life;
  }

  /** Path and query of a URL that opens `path` for GET, and for HEAD unless `getOnly`. */
  sign(path: string, getOnly: boolean): string {
    const expires = Date.now() + this.life;
    const methods = getOnly ? 'GET' : 'GET,HEAD';
    return `${path}?X-Expires=${expires}&X-Methods=${methods}&X-Signature=${this.#mac(path, String(expires), methods)}`;
  }

  opens(method: string, path: string, query: URLSearchParams): boolean {
    const [expires, methods] = [query.get('X-Expires') ?? '', query.get('X-Methods') ?? ''];
    const genuine = query.get('X-Signature') === this.#mac(path, expires, methods);
    return genuine && Number(expires) > Date.now() && methods.split(',').includes(method);
  }

  /** From now on every URL given out before is refused. */
  expire(): void {
    this.#key = randomBytes(16);
  }

  #mac(path: string, expires: string, methods: string): string {
    return createHmac('sha256', this.#key).update(`${path}\n${expires}\n${methods}`).digest('hex');
  }
}
