/** What to show of a session's notice: functions from data to data. */

import { INotice, ISession } from './answers';
import { duration, ITranslate } from './format';

/** A notice on this page. `stopsAt`: ms by the browser's own clock. */
export interface IWarning {
  event: string;
  code: string;
  session: string;
  cause: string;
  stopsAt: number;
  returns: boolean;
  page: string;
}

/** `replaced`: by nothing, since what it announced has happened. */
export type Step =
  | { kind: 'none' }
  | { kind: 'show'; warning: IWarning }
  | { kind: 'withdraw' }
  | { kind: 'clear' };

/** JupyterLab cuts a notification's text after this many characters. */
export const LONGEST = 140;

/** Reasons after which a session goes back to the queue, if it asked for that. */
const MAKES_ROOM = ['reclaim', 'preempt'];

/**
 * What to do now that the service has answered: one warning for an event, however often it is
 * told; taken back only when the service no longer speaks of it before its time.
 */
export function nextStep(shown: IWarning | null, session: ISession, now: number): Step {
  const notice = session.notice;
  if (notice) {
    const warning = toWarning(session, notice, now);
    return warning.event === shown?.event ? { kind: 'none' } : { kind: 'show', warning };
  }
  if (!shown) {
    return { kind: 'none' };
  }
  const happened = session.id !== shown.session || now >= shown.stopsAt;
  return { kind: happened ? 'clear' : 'withdraw' };
}

function toWarning(session: ISession, notice: INotice, now: number): IWarning {
  return {
    event: `${session.id} ${notice.code} ${notice.stops_at}`,
    code: notice.code,
    session: session.id,
    cause: notice.message,
    stopsAt: now + notice.seconds_left * 1000,
    returns: session.requeue && MAKES_ROOM.includes(notice.code),
    page: session.page
  };
}

/**
 * The warning's text at `now`: when, why, what to do. Where JupyterLab would cut it, first what
 * comes afterwards is left out, then the end of the reason; all of it is on the session's page.
 */
export function warningText(
  warning: IWarning,
  now: number,
  savedAt: number | null,
  trans: ITranslate,
  clock: (ms: number) => string
): string {
  const left = Math.ceil((warning.stopsAt - now) / 1000);
  const head =
    left > 0
      ? trans.__(
          'This session will be stopped at %1 (in %2):',
          clock(warning.stopsAt),
          duration(left, trans)
        )
      : trans.__('This session is being stopped:');
  const cause = firstSentence(warning.cause);
  const [advice, shortAdvice] = advices(
    warning.returns,
    savedAt === null ? null : clock(savedAt),
    trans
  );
  const whole = `${head} ${cause}\n${advice}`;
  if (whole.length <= LONGEST) {
    return whole;
  }
  const room = LONGEST - head.length - shortAdvice.length - 2;
  return `${head} ${shorten(cause, room)}\n${shortAdvice}`;
}

/** What the service says after its first sentence is about what comes then. */
function firstSentence(text: string): string {
  return text.match(/^.*?[.!?](?=\s|$)/)?.[0] ?? text;
}

/** What to do, with and without what comes afterwards. `saved`: when everything was saved. */
function advices(
  returns: boolean,
  saved: string | null,
  trans: ITranslate
): [string, string] {
  const short =
    saved === null
      ? trans.__('Save your work now.')
      : trans.__('Your documents were saved at %1.', saved);
  if (!returns) {
    return [short, short];
  }
  return saved === null
    ? [trans.__('Save your work now; it goes back to the queue.'), short]
    : [trans.__('Your documents were saved at %1; it goes back to the queue.', saved), short];
}

function shorten(text: string, room: number): string {
  if (text.length <= room) {
    return text;
  }
  const kept = text.slice(0, Math.max(0, room - 1));
  const lastWord = kept.lastIndexOf(' ');
  return `${lastWord > 0 ? kept.slice(0, lastWord) : kept}…`;
}

/** The text that takes the place of a warning. */
export function withdrawnText(trans: ITranslate): string {
  return trans.__('The warning is withdrawn: this session goes on.');
}
