/** Renews what is live on the page every two seconds while somebody sees it; the server alone says how it looks. */
export const SCRIPT = `'use strict';
const live = document.getElementById('live');
let isLost = false;

const renew = async () => {
  const answer = await fetch('/status', { headers: { accept: 'text/html' }, signal: AbortSignal.timeout(10000) });
  if (!answer.ok) throw new Error(answer.status);
  const next = new DOMParser().parseFromString(await answer.text(), 'text/html');
  for (const part of document.querySelectorAll('[data-live]')) {
    const renewed = next.getElementById(part.id);
    if (renewed !== null && renewed.innerHTML !== part.innerHTML) part.replaceChildren(...renewed.childNodes);
  }
};

const tell = (lost) => {
  if (lost !== isLost) live.textContent = lost ? 'The gateway does not answer: what you see is not of this moment.' : '';
  isLost = lost;
};

const look = async () => {
  if (document.visibilityState === 'visible') await renew().then(() => tell(false), () => tell(true));
  setTimeout(look, 2000);
};

setTimeout(look, 2000);
document.addEventListener('visibilitychange', () => {
  if (document.visibilityState === 'visible') void renew().then(() => tell(false), () => tell(true));
});
`;
