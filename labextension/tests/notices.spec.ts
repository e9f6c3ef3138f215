import { INotice, ISession } from '../src/answers';
import {
  IWarning,
  LONGEST,
  nextStep,
  Step,
  warningText,
  withdrawnText
} from '../src/notices';

const NOW = 1_000_000_000;
const CAUSE = 'project team-d takes back its share.';

const notice = (values: Partial<INotice> = {}): INotice => ({
  code: 'reclaim',
  message: CAUSE,
  stops_at: 5000,
  seconds_left: 58,
  ...values
});

const session = (about: INotice | null, values: Partial<ISession> = {}): ISession => ({
  id: 'a1',
  name: 'lab',
  notice: about,
  requeue: true,
  page: '/services/apportion/sessions/a1',
  ...values
}) as ISession;

function shown(step: Step): IWarning {
  if (step.kind !== 'show') {
    throw new Error(`nothing is shown, but: ${step.kind}`);
  }
  return step.warning;
}

const warning = (about = notice(), values: Partial<ISession> = {}) =>
  shown(nextStep(null, session(about, values), NOW));

const trans = {
  __: (text: string, ...values: any[]) =>
    text.replace(/%(\d)/g, (_, position) => String(values[position - 1]))
};

const clock = (ms: number) => (ms === NOW ? '14:31' : '14:32');

const textAt = (about: IWarning, seconds: number, savedAt: number | null = null) =>
  warningText(about, NOW + seconds * 1000, savedAt, trans, clock);

describe('nextStep', () => {
  it('shows nothing while nothing is announced', () => {
    expect(nextStep(null, session(null), NOW)).toEqual({ kind: 'none' });
  });

  it('shows a warning once, however often it is told', () => {
    const first = warning();
    const later = session(notice({ seconds_left: 53 }));

    expect(nextStep(first, later, NOW + 5000)).toEqual({ kind: 'none' });
  });

  it('shows it again to a page that has been loaded again', () => {
    const again = shown(nextStep(null, session(notice({ seconds_left: 20 })), NOW + 38_000));

    expect(again.stopsAt).toBe(warning().stopsAt);
  });

  it.each([
    ['another time', notice({ stops_at: 5600 }), {}],
    ['another reason', notice({ code: 'lifetime' }), {}],
    ['another session', notice(), { id: 'b2' }]
  ])('takes %s for an event of its own', (_, about, values) => {
    expect(nextStep(warning(), session(about, values), NOW).kind).toBe('show');
  });

  it('goes by the time that is left, whatever the clocks say', () => {
    expect(warning(notice({ stops_at: 1, seconds_left: 10 })).stopsAt).toBe(NOW + 10_000);
  });

  it('takes a warning back when it is not told any more', () => {
    expect(nextStep(warning(), session(null), NOW + 5000)).toEqual({ kind: 'withdraw' });
  });

  it.each([
    ['its time has come', session(null), 58_000],
    ['another session runs here', session(null, { id: 'b2' }), 5000]
  ])('promises nothing when %s', (_, next, passed) => {
    expect(nextStep(warning(), next, NOW + passed)).toEqual({ kind: 'clear' });
  });
});

describe('warningText', () => {
  it('says when, why and what to do', () => {
    expect(textAt(warning(), 0)).toBe(
      'This session will be stopped at 14:32 (in 58 s): project team-d takes back its share.\n' +
        'Save your work now; it goes back to the queue.'
    );
  });

  it.each([
    [0.2, 'in 58 s'],
    [1, 'in 57 s'],
    [57.5, 'in 1 s'],
    [58, 'is being stopped:'],
    [600, 'is being stopped:']
  ])('counts down: after %s s "%s"', (seconds, part) => {
    expect(textAt(warning(), seconds)).toContain(part);
  });

  it.each([
    [119, 'in 119 s'],
    [120, 'in 2 min'],
    [899, 'in 14 min'],
    [7200, 'in 2 h']
  ])('with %s s left says "%s"', (seconds_left, part) => {
    expect(textAt(warning(notice({ seconds_left })), 0)).toContain(part);
  });

  it.each([
    ['reclaim', false],
    ['lifetime', true],
    ['idle', true]
  ])('promises no return after %s with requeue %s', (code, requeue) => {
    expect(textAt(warning(notice({ code }), { requeue }), 0)).toMatch(/Save your work now\.$/);
  });

  it('says when everything was saved, which stays true', () => {
    const short = warning(notice({ message: 'Team-d.' }));

    expect(textAt(short, 5, NOW)).toContain(
      '\nYour documents were saved at 14:31; it goes back to the queue.'
    );
    expect(textAt(warning(), 5, NOW)).toMatch(/\nYour documents were saved at 14:31\.$/);
  });

  it('leaves to the page what the service says beyond the reason', () => {
    const message = `${CAUSE} It goes back to the queue and starts again in turn.`;

    expect(textAt(warning(notice({ message })), 0)).toBe(textAt(warning(), 0));
  });

  it('says a longer reason in full rather than what comes afterwards', () => {
    const message = 'Project team-d takes back capacity that is its share.';

    expect(textAt(warning(notice({ message })), 0)).toMatch(
      /takes back capacity that is its share\.\nSave your work now\.$/
    );
  });

  it('shortens a reason that is too long, never what to do', () => {
    const message = `${'The project with a long name '.repeat(9)}takes back its share.`;
    const text = textAt(warning(notice({ message })), 0);

    expect(text.length).toBeLessThanOrEqual(LONGEST);
    expect(text).toMatch(/ The project…\nSave your work now\.$/);
  });
});

it('says that a warning is withdrawn', () => {
  expect(withdrawnText(trans)).toBe('The warning is withdrawn: this session goes on.');
});
