import { bytesText, countText, shareText, visible } from '../html/figures.ts';
import { type Content, html, type Markup } from '../html/markup.ts';
import { tableHtml } from '../html/table.ts';
import type { Fetch, FetchesShown } from './fetches.ts';
import type { RateLimit, Status, UpstreamStatus } from './status.ts';
import { forHtml, inHtml } from './times.ts';

/** How the gateway stands at `now` (milliseconds since 1970). What has an id and `data-live` is renewed by the script. */
export function statusSection(status: Status, now: number): Markup {
  const { fetches, upstreams } = status;
  return html`<section id="status" aria-labelledby="status-title">
<h2 id="status-title">Status</h2>
<p id="state" class="state" role="status" data-live>${stateText(status)}</p>
<div id="warnings" data-live>${warningsHtml(status.warnings)}</div>
<dl id="figures" class="tiles" data-live>${tiles(status, now)}</dl>
${tableHtml({
  id: 'upstreams',
  title: 'Upstream registries',
  head: ['registry', 'state', 'may still be asked', 'requests', 'fetched', 'saved'],
  texts: 3,
  rows: upstreams.map((upstream) => upstreamRow(upstream, now)),
})}
<div id="fetches-told" data-live><h3>Fetches</h3><p>${fetchesText(fetches)}</p></div>
${tableHtml({
  id: 'fetches',
  title: 'Fetches of public images',
  head: ['image', 'layer', 'progress', 'fetched', 'size'],
  texts: 3,
  rows: fetches.named.map(fetchRow),
})}
</section>
`;
}

/** In one sentence, which a screen reader says when it becomes another. */
export function stateText({ ready, warnings, upstreams }: Status): string {
  const away = upstreams.filter(({ state }) => state === 'unreachable').map(({ name }) => name);
  const limiting = upstreams.filter(({ state }) => state === 'throttled').map(({ name }) => name);
  const parts = [
    ready ? 'Serving' : 'Not serving',
    ...(warnings.length > 0 ? [`${warnings.length} ${warnings.length === 1 ? 'warning' : 'warnings'}`] : []),
    ...(away.length > 0 ? [`out of reach: ${away.join(', ')}`] : []),
    ...(limiting.length > 0 ? [`limiting us: ${limiting.join(', ')}`] : []),
  ];
  return `${parts.join('; ')}.`;
}

/** How many blobs come, and how far they are together. */
export function fetchesText({ running, size, received, named }: FetchesShown): string {
  if (running === 0) return 'Nothing is being fetched.';
  const what = running === 1 ? '1 blob' : `${countText(running)} blobs`;
  const rest = running - named.length;
  const others = rest === 0 ? '' : `; ${countText(rest)} of them not named here, since not everybody may read them`;
  return `${what}: ${bytesText(received)} of ${bytesText(size)}${others}.`;
}

function warningsHtml(warnings: readonly string[]): Markup | undefined {
  if (warnings.length === 0) return undefined;
  return html`<ul class="warnings">${warnings.map((warning) => html`<li><strong>Warning:</strong> ${visible(warning)}</li>`)}</ul>`;
}

function tiles({ answers, store, fetches, processes, since }: Status, now: number): readonly Markup[] {
  const { requests, hits, sent, saved, fetched, waiting } = answers;
  const ratio = requests === 0 ? undefined : hits / requests;
  const counted = since === undefined ? '' : html` in ${forHtml(since, now)}`;
  return [
    tile('Hit ratio', shareText(ratio), html`${countText(hits)} of ${countText(requests)} answers${counted}`),
    tile('Saved', bytesText(saved), `of ${bytesText(sent)} sent; ${bytesText(fetched)} fetched`),
    tile('Cache', bytesText(store.used), storeText(store)),
    tile(
      'Being fetched',
      countText(fetches.running),
      `for ${countText(waiting)} ${waiting === 1 ? 'answer' : 'answers'} under way`,
    ),
    ...(processes === undefined ? [] : [tile('Processes', countText(processes), 'serve together')]),
  ];
}

function tile(name: string, figure: string, text: Content): Markup {
  return html`<div><dt>${name}</dt><dd><strong>${figure}</strong> <span>${text}</span></dd></div>`;
}

function storeText({ used, limit }: Status['store']): string {
  return limit === 0 ? 'not known yet' : `of ${bytesText(limit)} (${shareText(used / limit)})`;
}

function upstreamRow(upstream: UpstreamStatus, now: number): readonly Content[] {
  const { name, limits, requests, fetched, saved } = upstream;
  return [
    visible(name),
    html`<span class="${upstream.state}">${stateOf(upstream, now)}</span>`,
    limits.length === 0
      ? requests === 0
        ? ''
        : 'it does not say'
      : limits.map((limit) => html`<div>${limitText(limit, now)}</div>`),
    countText(requests),
    bytesText(fetched),
    bytesText(saved),
  ];
}

const STATES = { unasked: 'not asked yet', answering: 'answers', unreachable: 'out of reach' };

function stateOf({ state, until }: UpstreamStatus, now: number): Content {
  if (state !== 'throttled') return STATES[state];
  return html`wants a pause${until && html`, asked again ${inHtml(until, now)}`}`;
}

function limitText({ identity, remaining, reset }: RateLimit, now: number): Content {
  const whose = identity === 'anonymous' ? 'without login' : identity.replace('configured', 'with our account');
  return html`${countText(remaining)} ${whose}${reset && html`, anew ${inHtml(reset, now)}`}`;
}

function fetchRow({ repository, digest, size, received }: Fetch): readonly Content[] {
  const share = size === 0 ? 0 : received / size;
  const name = visible(repository);
  return [
    name,
    html`<code>${digest.replace(/^sha\d+:/, '').slice(0, 12)}</code>`,
    html`<progress max="100" value="${Math.round(share * 100)}" aria-label="${name}"></progress> ${shareText(share)}`,
    bytesText(received),
    bytesText(size),
  ];
}
