import { STYLE } from '../html/style.ts';

/** The style sheet of our pages. */
export const PAGE_STYLE = `${STYLE}
header, footer { max-width: 68rem; margin: 0 auto; padding: 1.5rem 1.5rem 0; } footer { padding-bottom: 1.5rem; color: var(--faint); }
header { display: flex; flex-wrap: wrap; align-items: baseline; gap: .25rem 1.5rem; } header nav { margin-inline-start: auto; } header .links { margin: 0; } header h1, header p { margin: 0; } header p { color: var(--faint); }
td code, td time, td > span { white-space: nowrap; } main:focus { outline: none; } section + section { margin-top: 2.5rem; } h2 { border-bottom: 2px solid var(--line); padding-bottom: .3rem; }
h3 { font-size: 1rem; margin: 1.5rem 0 0; } h3 + p { margin-top: .25rem; } section caption { font-size: 1rem; }
a { color: var(--link); } p, dd, li, summary, code { overflow-wrap: anywhere; }
.skip { position: absolute; left: -100vw; } .skip:focus { position: static; display: block; padding: .5rem 1.5rem; }
.links { display: flex; flex-wrap: wrap; gap: 0 1.5rem; padding: 0; list-style: none; }
.state { font-weight: 600; } .warnings { border-inline-start: .25rem solid var(--miss); padding-inline-start: 1.5rem; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(13rem, 100%), 1fr)); gap: 1rem; margin: 1rem 0; }
.tiles div { border: 1px solid var(--line); border-radius: .5rem; padding: .75rem 1rem; }
.tiles dt, .tiles span { color: var(--faint); } .tiles dd { margin: 0; } .tiles strong { display: block; font-size: 1.6rem; line-height: 1.3; }
.answering { color: var(--hit); } .unreachable, .throttled { color: var(--miss); font-weight: 600; } .unasked { color: var(--faint); }
progress { inline-size: 6rem; accent-color: var(--hit); } tbody:empty { display: none; } .wide:has(tbody:empty) { display: none; }
form { display: flex; flex-wrap: wrap; align-items: center; gap: .5rem; margin: 1rem 0; }
input, button { font: inherit; color: inherit; background: var(--ground); border: 1px solid var(--faint); border-radius: .3rem; padding: .3rem .6rem; max-width: 100%; }
pre { overflow-x: auto; border: 1px solid var(--line); border-radius: .3rem; padding: .6rem .8rem; margin: .5rem 0; } code { font-size: .9em; }
summary { font-weight: 600; padding: .4rem 0; }
`;

/** Three layers. */
export const ICON = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><g fill="#1a7f4b"><path d="M8 1 1 4.5 8 8l7-3.5z"/><path d="m1 8 7 3.5L15 8l-2-1-5 2.5L3 7z" opacity=".75"/><path d="m1 11.5 7 3.5 7-3.5-2-1L8 13l-5-2.5z" opacity=".5"/></g></svg>`;
