import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** A file of the example. */
export const exampleFile = (name: string): string =>
  fileURLToPath(new URL(`../../examples/prometheus/${name}`, import.meta.url));

interface Dashboard {
  readonly panels: ReadonlyArray<{
    readonly type: string;
    readonly title: string;
    readonly targets?: ReadonlyArray<{ readonly refId: string; readonly expr: string }>;
  }>;
}

/** An expression, and where it is from. */
export interface Named {
  readonly from: string;
  readonly expression: string;
}

/** Every expression of every panel, with Grafana's variables as they are when nothing is selected. */
export function panelExpressions(): Named[] {
  const dashboard = JSON.parse(readFileSync(exampleFile('dashboard.json'), 'utf8')) as Dashboard;
  return dashboard.panels
    .filter(({ type }) => type !== 'row')
    .flatMap(({ title, targets = [] }) => {
      if (targets.length === 0) throw new Error(`the panel '${title}' has no expression`);
      return targets.map(({ refId, expr }) => ({
        from: `${title} ${refId}`,
        expression: expr
          .replace(/\$(job|instance|registry|map)\b/g, '.*')
          .replace(/\$__rate_interval\b/g, '10s'),
      }));
    });
}

/**
 * What an alert looks at, whether it fires or not: each comparison answers 0 or 1 instead of leaving series out, so
 * that a result which is empty means that the series are not there.
 */
export function withoutFilters(expression: string): string {
  // The operators inside of braces match labels.
  return expression.replace(/\{[^}]*\}|==|!=|>=|<=|>|</g, (found) =>
    found.startsWith('{') ? found : `${found} bool`,
  );
}
