/** How the charts of a report look, beside what all our pages have in common. */
export const CHART_STYLE = `
figure { margin: 1.5rem 0; } svg { display: block; width: 100%; min-width: 42rem; height: auto; }
.grid line { stroke: var(--line); } .grid text { fill: var(--faint); font-size: 14px; }
rect.hit { fill: var(--hit); } rect.miss { fill: var(--miss); } rect.bypass { fill: var(--bypass); }
.legend { display: flex; flex-wrap: wrap; gap: 0 1.5rem; padding: 0; list-style: none; }
.legend li::before { content: ""; display: inline-block; width: .8em; height: .8em; margin-inline-end: .4em; background: var(--faint); }
.legend .hit::before { background: var(--hit); } .legend .miss::before { background: var(--miss); } .legend .bypass::before { background: var(--bypass); }
`;
