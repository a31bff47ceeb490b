import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { releaseOf } from '../../../examples/openclaw-plugin/gateway-release.js';

describe('releaseOf', () => {
  let folder: string;
  let script: string;
  const manifest = (content: string): void =>
    writeFileSync(path.join(folder, 'openclaw/package.json'), content);

  beforeEach(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'gateway-release-'));
    mkdirSync(path.join(folder, 'openclaw/dist'), { recursive: true });
    script = path.join(folder, 'openclaw/dist/entry.js');
    writeFileSync(script, '');
    writeFileSync(path.join(folder, 'openclaw/dist/package.json'), '{ "type": "module" }');
  });

  afterEach(() => rmSync(folder, { recursive: true }));

  it("takes the plugin API's word before the package's", () => {
    manifest('{ "name": "openclaw", "version": "2026.4.8" }');
    expect(releaseOf({ runtime: { version: '2026.9.6' } }, script)).toBe('2026.9.6');
  });

  it.each([[{}], [{ runtime: {} }], [{ runtime: { version: '' } }], [{ runtime: { version: 2026 } }]])(
    'reads the package of the program where the plugin API tells %o, through the link to its command',
    (api) => {
      manifest('{ "name": "openclaw", "version": "2026.4.8" }');
      const link = path.join(folder, 'command');
      symlinkSync(script, link);
      expect(releaseOf(api, link)).toBe('2026.4.8');
    },
  );

  it.each([
    ['of another package', '{ "name": "another", "version": "2026.4.8" }'],
    ['that is broken', '{'],
    ['without a version', '{ "name": "openclaw" }'],
    ['that is no object', 'null'],
  ])('knows nothing from a package.json %s', (_, content) => {
    manifest(content);
    expect(releaseOf({}, script)).toBeUndefined();
  });

  it('knows nothing of a program that is not there, or of none', () => {
    expect(releaseOf({}, path.join(folder, 'gone.js'))).toBeUndefined();
  });
});
