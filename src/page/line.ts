import { html, type Markup } from './markup.js';

const width = 96;
const height = 20;

/** Draws sizes over time, two at least, as a line from the left to the right, 0 at its foot. */
export function lineOf(sizes: readonly number[]): Markup {
  const most = Math.max(1, ...sizes);
  const points = sizes.map((size, index) => {
    const x = (index * width) / (sizes.length - 1);
    const y = height - (size * (height - 2)) / most - 1;
    return `${x.toFixed(1)},${y.toFixed(1)}`;
  });
  // Hidden from screen readers: the numbers beside it say the same.
  return html`<svg class="line" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" aria-hidden="true"><polyline points="${points.join(' ')}"/></svg>`;
}
