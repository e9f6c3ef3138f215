import { ISignal, Signal } from '@lumino/signaling';
import { Token } from '@lumino/coreutils';
import { Poll } from '@lumino/polling';

import { IPanel, ISession } from './answers';
import { Away, NotUnderApportion, Refused, SessionClient } from './session';

const OFTEN = { interval: 5000, backoff: true, max: 30000 };
/** After a refusal, which lasts. */
const RARELY = { interval: 60000, backoff: false, max: 60000 };

/** Of the connection to the hub; `none`: not under Apportion; `unknown`: not asked yet. */
export type Connection = 'unknown' | 'ok' | 'away' | 'refused' | 'none';

/** This session as the other parts of the extension see it. */
export const ISessionState = new Token<SessionState>('apportion-lab:ISessionState');

/** Asks for the session while the page is visible, and only then; for all of it while the panel is. */
export class SessionState {
  constructor(readonly client: SessionClient) {
    this._poll = new Poll({
      name: 'apportion-lab:session',
      auto: false,
      frequency: OFTEN,
      standby: 'when-hidden',
      factory: () => this._ask()
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
    if (watched !== this._watched) {
      this._watched = watched;
      void (watched && this.refresh());
    }
  }

  /** Ask now, as after something was done. */
  async refresh(): Promise<void> {
    if (!this._poll.isDisposed) {
      await this._poll.refresh();
    }
  }

  private async _ask(): Promise<void> {
    try {
      if (this._watched) {
        this._panel = this._session = await this.client.panel();
      } else {
        this._session = await this.client.session();
      }
    } catch (error) {
      this._failed(error);
      throw error; // asked again, less and less often
    }
    if (this._connection === 'refused') {
      this._poll.frequency = OFTEN;
    }
    this._note('ok');
  }

  private _failed(error: unknown): void {
    if (error instanceof NotUnderApportion && !this._session) {
      this._poll.dispose();
      this._note('none');
    } else if (error instanceof Refused) {
      this._poll.frequency = RARELY;
      this._note('refused');
    } else {
      // its own Jupyter server, too, may be what does not answer; JupyterLab tells of that
      const away = error instanceof Away || error instanceof NotUnderApportion;
      this._note(away ? 'away' : this._connection);
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
  private _connection: Connection = 'unknown';
  private _session: ISession | null = null;
  private _panel: IPanel | null = null;
  private _watched = false;
}
