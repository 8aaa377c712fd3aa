const CREDENTIALS_IN_URL = /\b([a-z][a-z0-9+.-]*:\/\/)[^\s/?#@]*@/gi;
const QUERY_OF_URL = /\b([a-z][a-z0-9+.-]*:\/\/[^\s?"'<>]*)\?[^\s"'<>]*/gi;
const AUTHORIZATION = /\b(Bearer|Basic)\s+(?!realm\b)[\w.~+/=-]{6,}/gi;

/**
 * The text without user names and passwords in URLs, without their queries (signed URLs are keys) and without
 * authorization values. Publishers keep secrets out by themselves; this is for the texts of foreign errors.
 */
export function redact(text: string): string {
  return text.replace(CREDENTIALS_IN_URL, '$1***@').replace(QUERY_OF_URL, '$1?***').replace(AUTHORIZATION, '$1 ***');
}
