import { AWAY_AFTER_MS, IShown, nextSteps } from '../src/alerts';
import { ISession } from '../src/answers';
import { imageRequestText } from '../src/imagerequest';

const NOTHING: IShown = { keys: [], awaySince: null };
const SICK = { code: 'device', message: 'Its GPU is out of order.' };
const FULL = { code: 'folder', message: 'Folder data is full.' };

const session = (...alerts: { code: string; message: string }[]) =>
  ({ id: 'a', alerts }) as unknown as ISession;

test('an alert is shown once, however often it is told', () => {
  const first = nextSteps(NOTHING, 'ok', session(SICK), 0);
  expect(first.show.map(each => each.alert)).toEqual([SICK]);
  const second = nextSteps(first.next, 'ok', session(SICK, FULL), 5000);
  expect(second.show.map(each => each.alert)).toEqual([FULL]);
  expect(second.takeBack).toEqual([]);
});

test('an alert that is over is taken back, and shown again when it comes back', () => {
  const shown = nextSteps(NOTHING, 'ok', session(SICK), 0).next;
  const over = nextSteps(shown, 'ok', session(), 5000);
  expect(over.takeBack).toEqual(shown.keys);
  expect(nextSteps(over.next, 'ok', session(SICK), 9000).show).toHaveLength(1);
});

test('what a notice tells of is no second event', () => {
  const much = { code: 'gpu_memory', message: 'This session holds too much.' };
  const notice = { code: 'gpu_memory', message: 'It is stopped.', stops_at: 9, seconds_left: 9 };
  const warned = { ...session(much, FULL), notice } as ISession;
  expect(nextSteps(NOTHING, 'ok', warned, 0).show.map(each => each.alert)).toEqual([FULL]);
  const shown = nextSteps(NOTHING, 'ok', session(much, FULL), 0).next;
  expect(nextSteps(shown, 'ok', warned, 5000).takeBack).toHaveLength(1);
});

test('that nobody answers is told only after a while, once, and that they are back', () => {
  let shown = NOTHING;
  const told = [];
  for (const [now, connection] of [
    [0, 'away'],
    [AWAY_AFTER_MS - 1, 'away'],
    [AWAY_AFTER_MS, 'away'],
    [AWAY_AFTER_MS + 5000, 'away'],
    [AWAY_AFTER_MS + 9000, 'ok']
  ] as const) {
    const steps = nextSteps(shown, connection, session(), now);
    told.push(steps.connection);
    shown = steps.next;
  }
  expect(told).toEqual([null, null, 'gone', null, 'back']);
  expect(shown).toEqual(NOTHING);
});

test('a short restart of the service is no news', () => {
  const away = nextSteps(NOTHING, 'away', session(), 0).next;
  const back = nextSteps(away, 'ok', session(), 5000);
  expect([back.connection, back.next]).toEqual([null, NOTHING]);
});

test('alerts stay while nobody answers', () => {
  const shown = nextSteps(NOTHING, 'ok', session(SICK), 0).next;
  const steps = nextSteps(shown, 'away', null, 5000);
  expect([steps.takeBack, steps.next.keys]).toEqual([[], shown.keys]);
});

test('a token that is refused is told once', () => {
  const first = nextSteps(NOTHING, 'refused', null, 0);
  expect(first.connection).toBe('refused');
  expect(nextSteps(first.next, 'refused', null, 60000).connection).toBeNull();
});

test('each state of an image request has its words', () => {
  const trans = {
    __: (text: string, ...values: any[]) =>
      text.replace(/%(\d)/g, (_, n) => String(values[Number(n) - 1]))
  };
  const request = { name: 'nlp', reason: 'too large', reference: 'saved/ann/nlp:1', progress: null };
  const text = (state: string, values = {}) =>
    imageRequestText({ ...request, state, pending: false, ...values }, trans);
  expect(text('requested')).toContain('waits for an admin');
  expect(text('committing', { progress: 0.42 })).toContain('42 %');
  expect(text('done')).toContain('saved/ann/nlp:1');
  expect(text('declined')).toContain('declined: too large');
  expect(text('failed')).toContain('could not be made: too large');
});
