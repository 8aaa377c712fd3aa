// biome-ignore lint/suspicious/noControlCharactersInRegex: these are the characters to be escaped
const UNSAFE = /["\\\x00-\x1f\x7f-\uffff]/g;
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are the characters to be escaped
const CONTROL = /[\x00-\x1f\x7f-\x9f\u2028\u2029]/g;

const hex = (byte: number): string => `\\x${byte.toString(16).toUpperCase().padStart(2, '0')}`;

/** Escapes as nginx's `log_format … escape=default` does: quotes, backslashes and all bytes outside printable ASCII. */
export function escapeQuoted(text: string): string {
  return text.replace(UNSAFE, (unit) => {
    const code = unit.charCodeAt(0);
    // Node reads header bytes as latin1, so a unit up to 0xff is the very byte that came over the wire.
    return code <= 0xff ? hex(code) : Array.from(Buffer.from(unit), hex).join('');
  });
}

/** Makes control characters visible, so that no text can forge a line of its own or steer a terminal. */
export function escapeControls(text: string): string {
  return text.replace(CONTROL, (unit) => {
    const code = unit.charCodeAt(0);
    return code <= 0xff ? hex(code) : `\\u${code.toString(16)}`;
  });
}
