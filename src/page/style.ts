/** The style of the page: light and dark as the reader has it, from 360 px on. */
export const style = `:root {
  color-scheme: light dark;
  --back: #fff; --text: #1b1b1b; --faint: #555; --rule: #ccc; --link: #0b4fa8;
  --good: #0b4a25; --good-back: #e1f4e7; --doubtful: #5c3a00; --doubtful-back: #fff0cf; --bad: #8a0f0f; --bad-back: #fde3e3;
}
@media (prefers-color-scheme: dark) {
  :root {
    --back: #14171a; --text: #e8e8e8; --faint: #b4b4b4; --rule: #444; --link: #9cc4ff;
    --good: #a6e8bd; --good-back: #10301d; --doubtful: #ffd98f; --doubtful-back: #382907; --bad: #ffb9b3; --bad-back: #471313;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--text); font: 1rem/1.45 system-ui, sans-serif; overflow-wrap: anywhere; }
header, main { max-width: 80rem; margin: 0 auto; padding: 0 1rem; }
header { display: flex; flex-wrap: wrap; gap: 0 1.2rem; align-items: baseline; }
h1 { font-size: 1.3rem; } h2 { font-size: 1.15rem; margin-top: 2rem; } h3 { font-size: 1rem; }
a { color: var(--link); }
:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
.sentence { padding: .8rem 1rem; border-left: .5rem solid; font-size: 1.15rem; font-weight: 600; }
.good { color: var(--good); background: var(--good-back); }
.doubtful { color: var(--doubtful); background: var(--doubtful-back); }
.bad { color: var(--bad); background: var(--bad-back); }
.leaking .verdict, .verdict.leaking { color: var(--bad); font-weight: 700; }
.growing .verdict, .verdict.growing { color: var(--doubtful); font-weight: 700; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { padding: .3rem; border-bottom: 1px solid var(--rule); text-align: left; vertical-align: top; overflow-wrap: normal; }
tbody th { font-weight: 400; min-width: 6rem; max-width: 24rem; overflow-wrap: anywhere; }
tbody td { white-space: nowrap; }
tbody td.verdict { white-space: normal; min-width: 11rem; }
.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
.line { display: block; fill: none; stroke: var(--link); stroke-width: 1.5; }
dt { margin-top: .6rem; font-weight: 600; } dd { margin: 0 0 0 1rem; }
small, #live { color: var(--faint); }
form { margin: .8rem 0; display: flex; flex-wrap: wrap; gap: .6rem; align-items: center; }
input, select, button { font: inherit; color: inherit; background: var(--back); border: 1px solid var(--faint); border-radius: .2rem; padding: .25rem .5rem; max-width: 100%; }
button { cursor: pointer; }
`;
