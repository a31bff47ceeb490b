import { createGatewayRegistry } from 'mapsweep';
import { expect } from 'vitest';
import { every, Inbox, minutes, regression, watched } from './regression.js';

interface Run {
  endedAt: number;
  cleanupCompletedAt: number;
}

regression('the sweep tells of a run again, five minutes after it completed (openclaw#52731)', {
  plain: (clock) => {
    const subagentRuns = new Map<string, Run>();
    const inbox = new Inbox();
    const stop = every(clock, minutes(1), () => {
      for (const [runId, { cleanupCompletedAt }] of subagentRuns) {
        if (clock.now() - cleanupCompletedAt < minutes(5)) continue;
        subagentRuns.delete(runId);
        inbox.post(runId);
      }
    });
    return {
      registry: watched(clock, { subagentRuns, unread: inbox.unread }),
      scenario: (number) => {
        const runId = `run-${number}`;
        subagentRuns.set(runId, { endedAt: clock.now(), cleanupCompletedAt: clock.now() });
        inbox.post(runId);
        inbox.read(runId);
      },
      stop,
    };
  },
  swept: (clock) => {
    const inbox = new Inbox();
    const registry = createGatewayRegistry<Run>({ clock, onSubagentEnded: ({ key }) => inbox.post(key) });
    registry.adopt('unread', inbox.unread);
    return {
      registry,
      scenario: async (number) => {
        const runId = `run-${number}`;
        registry.maps.subagentRuns.set(runId, { endedAt: clock.now(), cleanupCompletedAt: clock.now() });
        registry.end(runId);
        await clock.advance(0);
        inbox.read(runId);
      },
    };
  },
  leaks: { unread: 1 },
  because: "'unread' has no lifetime",
  afterwards: ({ registry }) => {
    expect(registry).toHaveEndedEveryRunOnce();
    expect(registry).toHaveEndedExactlyOnce('run-7');
  },
});
