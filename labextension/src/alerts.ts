/** One notification for each event that is no stop: which to show, and which to take back. */

import { alertsOf, IAlert, ISession } from './answers';
import { Connection } from './state';

/** After so long without an answer the user is told. */
export const AWAY_AFTER_MS = 20000;

/** What is shown, by its key, and since when (ms) there was no answer. */
export interface IShown {
  keys: string[];
  awaySince: number | null;
}

export interface ISteps {
  show: { key: string; alert: IAlert }[];
  takeBack: string[];
  /** `gone`: tell that nobody answers; `back`: that somebody does again. */
  connection: 'gone' | 'back' | 'refused' | null;
  next: IShown;
}

const GONE = 'connection gone';
const REFUSED = 'connection refused';

/** The same alert of the same session is one event, however often it is told. */
function keyOf(session: ISession, alert: IAlert): string {
  return `${session.id} ${alert.code} ${alert.message}`;
}

/** What to do after an answer, or without one. */
export function nextSteps(
  shown: IShown,
  connection: Connection,
  session: ISession | null,
  now: number
): ISteps {
  const about = shown.keys.filter(key => key !== GONE && key !== REFUSED);
  const told = (key: string) => shown.keys.includes(key);
  if (connection === 'refused') {
    return {
      show: [],
      takeBack: told(GONE) ? [GONE] : [],
      connection: told(REFUSED) ? null : 'refused',
      next: { keys: [...about, REFUSED], awaySince: null }
    };
  }
  if (connection !== 'ok' || !session) {
    const awaySince = connection === 'away' ? (shown.awaySince ?? now) : null;
    const gone = awaySince !== null && now - awaySince >= AWAY_AFTER_MS && !told(GONE);
    return {
      show: [],
      takeBack: [],
      connection: gone ? 'gone' : null,
      next: { keys: gone ? [...shown.keys, GONE] : shown.keys, awaySince }
    };
  }
  const current = alertsOf(session).map(alert => ({ key: keyOf(session, alert), alert }));
  const keys = current.map(each => each.key);
  return {
    show: current.filter(each => !told(each.key)),
    takeBack: shown.keys.filter(key => !keys.includes(key)),
    connection: told(GONE) ? 'back' : null,
    next: { keys, awaySince: null }
  };
}
