/** What YAML is made of here. */
export type YamlValue =
  | string
  | number
  | readonly YamlValue[]
  | { readonly [name: string]: YamlValue | undefined };

/** Writes a value as YAML, in blocks; a string in double quotes, which YAML reads as JSON does, unless it is a plain word. */
export function yaml(value: YamlValue, indent = ''): string {
  if (typeof value === 'number') return String(value);
  if (typeof value === 'string') return /^[a-z][\w.]*$/i.test(value) ? value : JSON.stringify(value);
  if (Array.isArray(value)) {
    if (value.length === 0) return '[]';
    return value.map((item) => `\n${indent}- ${yaml(item, `${indent}  `).trimStart()}`).join('');
  }
  return Object.entries(value)
    .filter(([, of]) => of !== undefined)
    .map(([name, of]) => `\n${indent}${name}: ${yaml(of as YamlValue, `${indent}  `)}`.replace(/: \n/, ':\n'))
    .join('');
}
