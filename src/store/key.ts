const COMPONENT = /^[!-.0-[\]-~]{1,255}$/;
const MAX_LENGTH = 1024;

/** Whether `name` may stand between two slashes of a key: visible ASCII, no backslash, no leading dot. */
export function isKeyComponent(name: string): boolean {
  return !name.startsWith('.') && COMPONENT.test(name);
}

/** Throws unless `key` is one that every backend can hold; nothing that passes can leave a backend's root. */
export function assertKey(key: string): void {
  if (key.length > MAX_LENGTH || !key.split('/').every(isKeyComponent)) {
    throw new Error(`not a key of the store: ${JSON.stringify(key.slice(0, 80))}`);
  }
}
