// npx tsx examples/job-runner/main.ts /tmp/job-runner 'sleep 5' 'exit 3' …
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { startRunner } from './runner.ts';

const [folder = '/tmp/job-runner', ...commands] = process.argv.slice(2);
const runner = startRunner({
  folder,
  deliver: ({ id, reason, value, detail }) => {
    const line = JSON.stringify({ id, reason, command: value?.command, detail });
    appendFileSync(join(folder, 'ended.log'), `${line}\n`);
    console.log(`ended ${line}`);
  },
});
for (const command of commands) console.log(`started ${await runner.run('sh', '-c', command)} ${command}`);
const alive = setInterval(() => {}, 60_000);
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    clearInterval(alive);
    void runner.close();
  });
}
console.log(`${runner.registry.maps.jobs.size} jobs; Ctrl-C, or kill -9, and start it again`);
