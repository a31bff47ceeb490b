/** The value of one series of the one registry in Prometheus' text format; `undefined` where there is none. */
export function seriesValue(
  text: string,
  name: string,
  labels: Readonly<Record<string, string>>,
): number | undefined {
  const series = `${name}{${Object.entries({ ...labels, registry: 'default' })
    .map(([label, value]) => `${label}="${value}"`)
    .join(',')}} `;
  const line = text.split('\n').find((candidate) => candidate.startsWith(series));
  return line === undefined ? undefined : Number(line.slice(series.length));
}

/** The sum of all series of a metric whose line has this text in it. */
export function sumOf(text: string, name: string, part: string): number {
  return text
    .split('\n')
    .filter((line) => line.startsWith(`${name}{`) && line.includes(part))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
}
