/** How our pages look. Colours stand in the contrast that WCAG 2.2 asks for, on the light and on the dark ground. */
export const STYLE = `
:root { color-scheme: light dark; --ground: #fff; --ink: #1b1f24; --faint: #5b6470; --line: #d4d9df; --hit: #1a7f4b; --miss: #b4540a; --bypass: #6a6f78; --link: #0b57b0; }
@media (prefers-color-scheme: dark) { :root { --ground: #14171b; --ink: #e6e9ed; --faint: #a0a8b3; --line: #363c44; --hit: #4cc38a; --miss: #f0a35e; --bypass: #8f96a1; --link: #8ab8ff; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 68rem; margin: 0 auto; padding: 1.5rem; }
h1 { font-size: 1.6rem; } h2, caption { font-size: 1.15rem; font-weight: 600; text-align: start; margin: 0; }
caption { padding: 1.5rem 0 .4rem; max-width: calc(100vw - 3rem); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { padding: .25rem .75rem .25rem 0; border-bottom: 1px solid var(--line); text-align: start; vertical-align: top; font-weight: 400; overflow-wrap: break-word; }
tbody th { min-width: 8rem; overflow-wrap: anywhere; } td { min-width: 4rem; }
thead th { color: var(--faint); white-space: nowrap; } .figure { text-align: end; white-space: nowrap; font-variant-numeric: tabular-nums; }
summary { cursor: pointer; } :focus-visible { outline: 2px solid var(--hit); outline-offset: 2px; }
`;
