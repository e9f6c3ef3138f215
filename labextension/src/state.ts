import { ISignal, Signal } from '@lumino/signaling';
import { Token } from '@lumino/coreutils';
import { Poll } from '@lumino/polling';

import { IPanel, ISession } from './answers';
import { Away, NotUnderApportion, Refused, SessionClient } from './session';

const INTERVAL_MS = 5000;
const LONGEST_INTERVAL_MS = 30000;
const REFUSED_INTERVAL_MS = 60000;

/** Of the connection to the hub; `none`: not under Apportion; `unknown`: not asked yet. */
export type Connection = 'unknown' | 'ok' | 'away' | 'refused' | 'none';

/** This session as the other parts of the extension see it. */
export const ISessionState = new Token<SessionState>('apportion-lab:ISessionState');

/** Asks for the session while the page is visible, and only then; for the panel while it is. */
export class SessionState {
  constructor(readonly client: SessionClient) {
    this._poll = this._makePoll('session', async () => {
      this._session = await this.client.session();
    });
    this._panelPoll = this._makePoll('panel', async () => {
      this._panel = this._session = await this.client.panel();
    });
    document.addEventListener('visibilitychange', this._onVisible);
    this._poll.disposed.connect(() =>
      document.removeEventListener('visibilitychange', this._onVisible)
    );
  }

  get connection(): Connection {
    return this._connection;
  }

  /** As last told; null before the first answer. */
  get session(): ISession | null {
    return this._session;
  }

  /** As last told, while somebody looks. */
  get panel(): IPanel | null {
    return this._panel;
  }

  /** After each answer, and each question without one. */
  get changed(): ISignal<this, void> {
    return this._changed;
  }

  start(): void {
    void this._poll.start();
  }

  /** Whether somebody looks at the panel. */
  watchPanel(watched: boolean): void {
    if (this._panelPoll.isDisposed || watched === this._watched) {
      return;
    }
    this._watched = watched;
    void (watched ? this._panelPoll.refresh() : this._panelPoll.stop());
  }

  /** Ask now, as after something was done. */
  async refresh(): Promise<void> {
    const poll = this._watched ? this._panelPoll : this._poll;
    if (!poll.isDisposed) {
      await poll.refresh();
    }
  }

  private _makePoll(name: string, ask: () => Promise<void>): Poll {
    return new Poll({
      name: `apportion-lab:${name}`,
      auto: false,
      frequency: { interval: INTERVAL_MS, backoff: true, max: LONGEST_INTERVAL_MS },
      standby: 'when-hidden',
      factory: async () => {
        try {
          await ask();
          this._note('ok');
        } catch (error) {
          this._failed(error);
          throw error; // asked again, less and less often
        }
      }
    });
  }

  private _failed(error: unknown): void {
    if (error instanceof NotUnderApportion) {
      this._poll.dispose();
      this._panelPoll.dispose();
      this._note('none');
    } else if (error instanceof Refused) {
      const rarely = { interval: REFUSED_INTERVAL_MS, backoff: false, max: REFUSED_INTERVAL_MS };
      this._poll.frequency = this._panelPoll.frequency = rarely;
      this._note('refused');
    } else {
      // its own Jupyter server, too, may be what does not answer; JupyterLab tells of that
      this._note(error instanceof Away ? 'away' : this._connection);
    }
  }

  private _note(connection: Connection): void {
    this._connection = connection;
    this._changed.emit();
  }

  private readonly _onVisible = () => {
    if (document.visibilityState === 'visible') {
      void this.refresh();
    }
  };

  private readonly _changed = new Signal<this, void>(this);
  private readonly _poll: Poll;
  private readonly _panelPoll: Poll;
  private _connection: Connection = 'unknown';
  private _session: ISession | null = null;
  private _panel: IPanel | null = null;
  private _watched = false;
}
