import type { Outcome } from '../registry/exchange.ts';

/** The value of Cache-Status for an outcome (RFC 9211). */
export function cacheStatus(outcome: Outcome): string {
  return `Layover${parameters(outcome)}`;
}

function parameters({ cache, why, stored }: Outcome): string {
  switch (cache) {
    case 'hit':
      return '; hit';
    case 'stale':
      return '; hit; detail=stale';
    case 'revalidated':
      return '; fwd=stale; fwd-status=304';
    case 'miss':
      return stored === true ? '; fwd=uri-miss; stored' : '; fwd=uri-miss';
    case 'collapsed':
      return '; fwd=uri-miss; collapsed';
    case 'bypass':
      return '; fwd=bypass';
    case 'none':
      return `; detail=${token(why)}`;
  }
}

/** A token as structured fields spell it (RFC 9651 §3.3.4); no text of ours needs a string. */
function token(text: string): string {
  const cleaned = text.replace(/[^A-Za-z0-9_.-]+/g, '-');
  return /^[A-Za-z]/.test(cleaned) ? cleaned : `x-${cleaned}`;
}
