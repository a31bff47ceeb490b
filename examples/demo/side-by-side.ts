/** The first page of `--serve`: the maps of both gateways side by side, drawn to the same scale. */
import { MAP_NAMES } from './gateway.ts';

const WIDTH = 240;
const HEIGHT = 48;

/** What is read of a page's `report.json`. */
interface Report {
  sentence: { tone: string; text: string };
  maps: { rows: { name: string; size: number; sizes: number[] }[] };
}

const headers = {
  'content-type': 'text/html; charset=utf-8',
  'cache-control': 'no-store',
  'content-security-policy':
    "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
};

/** Renders it from what the pages at this address say. Their style and the script that keeps them live serve it too. */
export async function sideBySide(address: string) {
  const [plain, swept] = await Promise.all(
    ['plain', 'mapsweep'].map(
      async (name) => (await (await fetch(`${address}/${name}/report.json`)).json()) as Report,
    ),
  );
  const rows = MAP_NAMES.map((name) => {
    const [left, right] = [plain, swept].map((report) => report!.maps.rows.find((row) => row.name === name)!);
    const most = Math.max(1, ...left!.sizes, ...right!.sizes);
    const cells = [left!, right!].map(
      ({ size, sizes }) => `<td class="number">${size}</td><td>${lineOf(sizes, most)}</td>`,
    );
    return `<tr><th scope="row">${name}</th>${cells.join('')}</tr>`;
  });
  const text = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>mapsweep: side by side</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="mapsweep/page.css"></head>
<body><header><h1>The same requests, two gateways</h1><p id="live" role="status"></p></header>
<main data-refresh="2000">
${sentence('plain', 'Plain Maps', plain!)}
${sentence('mapsweep', 'mapsweep', swept!)}
<section id="maps" aria-labelledby="maps-title"><h2 id="maps-title">Their maps</h2>
<div class="wide" tabindex="0" role="region" aria-label="Table of maps"><table>
<thead><tr><th scope="col">Map</th><th scope="col" class="number">Plain Maps</th><th scope="col">Over time</th><th scope="col" class="number">mapsweep</th><th scope="col">Over time</th></tr></thead>
<tbody>${rows.join('\n')}</tbody></table></div></section>
<p><a href="metrics">Metrics of both</a></p>
</main><script src="mapsweep/page.js"></script></body></html>
`;
  return { headers, text };
}

const sentence = (folder: string, name: string, { sentence: { tone, text } }: Report) =>
  `<section id="${folder}" aria-labelledby="${folder}-title"><h2 id="${folder}-title"><a href="${folder}/">${name}</a></h2>
<p class="sentence ${tone}" data-tone="${tone}">${text}</p></section>`;

/** A line from the left to the right, 0 at its foot and `most` at its top. The numbers beside it say the same. */
function lineOf(sizes: readonly number[], most: number): string {
  const points = sizes.map((size, index) => {
    const x = (index * WIDTH) / Math.max(1, sizes.length - 1);
    const y = HEIGHT - 1 - (size * (HEIGHT - 2)) / most;
    return `${x.toFixed(1)},${y.toFixed(1)}`;
  });
  return `<svg class="line" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}" aria-hidden="true"><polyline points="${points.join(' ')}"/></svg>`;
}
