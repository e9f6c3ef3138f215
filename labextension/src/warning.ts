import { Notification } from '@jupyterlab/apputils';
import { TranslationBundle } from '@jupyterlab/translation';
import { CommandRegistry } from '@lumino/commands';

import { ISession } from './answers';
import { duration } from './format';
import { IWarning, nextStep, warningText, withdrawnText } from './notices';

/** JupyterLab's command. */
export const SAVE_ALL = 'docmanager:save-all';

/** What the user can do about a warning. */
export interface IWarningActions {
  inUse(): Promise<void>;
  /** How many seconds one click adds: an hour, or what is left of what is allowed; 0: nothing. */
  oneExtension(): Promise<number>;
  extendBy(seconds: number): Promise<void>;
}

/** Shows the session's notice as one notification, with its time running. */
export class SessionWarning {
  constructor(
    private readonly _commands: CommandRegistry,
    private readonly _trans: TranslationBundle,
    private readonly _actions: IWarningActions
  ) {}

  /** Follow what the service says now. */
  follow(session: ISession): void {
    const step = nextStep(this._shown, session, Date.now());
    switch (step.kind) {
      case 'show':
        this._clear();
        this._show(step.warning);
        break;
      case 'withdraw':
        this._clear();
        Notification.info(withdrawnText(this._trans), { autoClose: 15000 });
        break;
      case 'clear':
        this._clear();
        break;
    }
  }

  private _show(warning: IWarning): void {
    this._shown = warning;
    this._savedAt = null;
    this._seen = false;
    this._text = this._textNow(warning);
    this._id = Notification.warning(this._text, {
      autoClose: false,
      actions: this._actionsFor(warning)
    });
    this._timer = window.setInterval(() => this._tick(), 1000);
    if (warning.code === 'lifetime') {
      void this._offerMore(warning);
    }
  }

  /** A button is there for what is allowed only, and that is asked for. */
  private async _offerMore(warning: IWarning): Promise<void> {
    const seconds = await this._actions.oneExtension();
    if (seconds > 0 && this._shown === warning) {
      const actions = [this._extendBy(seconds), ...this._actionsFor(warning)];
      Notification.update({ id: this._id, message: this._text, autoClose: false, actions });
    }
  }

  private _clear(): void {
    window.clearInterval(this._timer);
    Notification.dismiss(this._id);
    this._shown = null;
    this._id = '';
  }

  /** Set the time that is left. A notification that the user has closed stays closed. */
  private _tick(): void {
    const text = this._shown && this._textNow(this._shown);
    if (!text || text === this._text) {
      return;
    }
    this._text = text;
    const isOpen = document.getElementById(this._id) !== null;
    this._seen ||= isOpen;
    const autoClose = this._seen && !isOpen ? 0 : false;
    Notification.update({ id: this._id, message: text, autoClose });
  }

  private _textNow(warning: IWarning): string {
    return warningText(warning, Date.now(), this._savedAt, this._trans, ms =>
      new Date(ms).toLocaleTimeString([], { hour: 'numeric', minute: '2-digit' })
    );
  }

  private _actionsFor(warning: IWarning): Notification.IAction[] {
    const open: Notification.IAction = {
      label: this._trans.__('About this session'),
      caption: warning.cause,
      callback: event => {
        event.preventDefault(); // it would close the notification
        window.open(warning.page, '_blank', 'noopener');
      }
    };
    const save: Notification.IAction = {
      label: this._trans.__('Save all'),
      caption: this._trans.__('Save all open documents'),
      displayType: 'accent',
      callback: event => {
        event.preventDefault();
        void this._saveAll();
      }
    };
    const others = this._commands.hasCommand(SAVE_ALL) ? [open, save] : [open];
    const first = this._wayOut(warning);
    return first ? [first, ...others] : others;
  }

  /** What makes the warning go away, if anything does. */
  private _wayOut(warning: IWarning): Notification.IAction | null {
    if (warning.code === 'idle') {
      return {
        label: this._trans.__('I am here'),
        caption: this._trans.__('Go on with this session'),
        displayType: 'accent',
        callback: () => void this._actions.inUse()
      };
    }
    return null;
  }

  private _extendBy(seconds: number): Notification.IAction {
    const t = this._trans;
    return {
      label: t.__('Extend by %1', duration(seconds, t)),
      caption: t.__('As far as its project allows'),
      displayType: 'accent',
      callback: event => {
        event.preventDefault(); // it stays until the session is extended indeed
        void this._actions.extendBy(seconds);
      }
    };
  }

  private async _saveAll(): Promise<void> {
    try {
      await this._commands.execute(SAVE_ALL);
    } catch (error) {
      console.error('Not all documents are saved:', error); // JupyterLab has told the user
      return;
    }
    this._savedAt = Date.now();
    this._tick();
  }

  private _shown: IWarning | null = null;
  private _savedAt: number | null = null;
  private _seen = false;
  private _text = '';
  private _id = '';
  private _timer = 0;
}
