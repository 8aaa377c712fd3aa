import { html, type Markup } from '../html/markup.ts';

const UNITS = [
  { seconds: 86_400, one: 'day', many: 'days' },
  { seconds: 3_600, one: 'h', many: 'h' },
  { seconds: 60, one: 'min', many: 'min' },
] as const;

/** `3 days`, `5 h`, `20 min`, `less than a minute`: readers are in other time zones than the machine. */
function spanText(milliseconds: number): string {
  const seconds = milliseconds / 1000;
  const unit = UNITS.find((one) => seconds >= one.seconds);
  if (unit === undefined) return 'less than a minute';
  const count = Math.floor(seconds / unit.seconds);
  return `${count} ${count === 1 ? unit.one : unit.many}`;
}

/** A moment (milliseconds since 1970) as seen from `now`. What a wrong clock puts into the future was just now. */
export function agoHtml(at: number, now: number): Markup {
  const text = now - at < 60_000 ? 'just now' : `${spanText(now - at)} ago`;
  return html`<time datetime="${new Date(at).toISOString()}">${text}</time>`;
}

/** How long ago a moment (ISO 8601) was. */
export function forHtml(iso: string, now: number): Markup {
  return html`<time datetime="${iso}">${spanText(now - Date.parse(iso))}</time>`;
}

/** As {@link agoHtml}, for what is to come. */
export function inHtml(iso: string, now: number): Markup {
  return html`<time datetime="${iso}">in ${spanText(Date.parse(iso) - now)}</time>`;
}
