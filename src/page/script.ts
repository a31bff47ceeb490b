/**
 * The script of the page, as a browser takes it: asks for the page again and puts in place what has changed. Without it
 * the page is what it is when it is loaded.
 */
export const script = `'use strict';
(() => {
  const main = document.querySelector('main');
  const live = document.getElementById('live');
  const refreshMs = Number(main.dataset.refresh);
  const sections = (root) => new Map([...root.querySelectorAll('main > section[id]')].map((section) => [section.id, section]));
  const toneIn = (root) => root.querySelector('[data-tone]')?.dataset.tone;
  const nameOf = (element) => element.getAttribute('href') ?? element.value ?? element.className;
  // What somebody has marked in order to copy it is left as it is until he has done so.
  const isMarked = (section) => {
    const selection = getSelection();
    return selection !== null && !selection.isCollapsed && section.contains(selection.anchorNode);
  };
  let timer;
  let isAsking = false;
  let isLedAway = false;
  let answeredAt = new Date();

  const put = (fresh) => {
    const tone = toneIn(document);
    const old = sections(document);
    const next = sections(fresh);
    for (const [id, section] of old) if (!next.has(id)) section.remove();
    let before;
    for (const [id, section] of next) {
      const present = old.get(id);
      if (present === undefined) {
        before.after(document.adoptNode(section));
        before = section;
        continue;
      }
      before = present;
      if (present.outerHTML === section.outerHTML || isMarked(present)) continue;
      const focused = present.contains(document.activeElement) ? nameOf(document.activeElement) : undefined;
      const scrolled = present.querySelector('.wide')?.scrollLeft;
      const placed = document.adoptNode(section);
      present.replaceWith(placed);
      before = placed;
      if (scrolled) placed.querySelector('.wide').scrollLeft = scrolled;
      if (focused !== undefined) {
        const again = [...placed.querySelectorAll('a, button, .wide')].find((element) => nameOf(element) === focused);
        again?.focus({ preventScroll: true });
      }
    }
    document.title = fresh.title;
    // What was done, and what was said when the tone changed, is of a moment that is over.
    document.querySelector('.done')?.remove();
    live.textContent = toneIn(document) === tone ? '' : document.querySelector('.sentence').textContent;
    delete live.dataset.silent;
  };

  const ask = async () => {
    if (isAsking || document.hidden) return;
    isAsking = true;
    const wasLedAway = isLedAway;
    isLedAway = false;
    try {
      const address = new URL(location.href);
      address.searchParams.delete('done');
      // A process that is blocked takes the request and never answers it.
      const signal = AbortSignal.timeout(Math.max(10000, 2 * refreshMs));
      const answer = await fetch(address, { cache: 'no-store', credentials: 'same-origin', redirect: 'manual', signal });
      // Whoever has to log in again is led there by the address itself. A proxy may lead elsewhere for a moment.
      isLedAway = answer.type === 'opaqueredirect';
      if ((isLedAway && wasLedAway) || answer.status === 401 || answer.status === 403) return location.reload();
      if (!answer.ok) throw new Error(String(answer.status));
      const fresh = new DOMParser().parseFromString(await answer.text(), 'text/html');
      // A proxy may answer with a page of its own.
      if (toneIn(fresh) === undefined) throw new Error('another page');
      put(fresh);
      answeredAt = new Date();
    } catch {
      if (!live.dataset.silent) live.textContent = 'No answer since ' + answeredAt.toLocaleTimeString() + '.';
      live.dataset.silent = 'yes';
    } finally {
      isAsking = false;
    }
  };

  const watch = () => {
    clearInterval(timer);
    if (document.hidden) return;
    timer = setInterval(ask, refreshMs);
  };
  document.addEventListener('visibilitychange', () => {
    watch();
    ask();
  });
  watch();
})();
`;
