import { Notification } from '@jupyterlab/apputils';
import { TranslationBundle } from '@jupyterlab/translation';
import { CommandRegistry } from '@lumino/commands';

import { IShown, nextSteps } from './alerts';
import { IAlert } from './answers';
import { SessionState } from './state';
import { SAVE_ALL } from './warning';

/** Shows alerts, and that the hub is away, as notifications of JupyterLab: each event once. */
export class AlertNotifier {
  constructor(
    private readonly _state: SessionState,
    private readonly _commands: CommandRegistry,
    private readonly _trans: TranslationBundle,
    private readonly _openPanel: () => void
  ) {
    this._state.changed.connect(this._follow, this);
    // nothing changes while nobody answers, but time
    window.setInterval(() => this._follow(), 5000);
  }

  private _follow(): void {
    const { connection, session } = this._state;
    const steps = nextSteps(this._shown, connection, session, Date.now());
    this._shown = steps.next;
    for (const key of steps.takeBack) {
      Notification.dismiss(this._ids.get(key));
      this._ids.delete(key);
    }
    for (const { key, alert } of steps.show) {
      this._ids.set(key, this._warn(alert.message, this._actionsFor(alert)));
    }
    const t = this._trans;
    if (steps.connection === 'gone') {
      const text = t.__('The hub or its service does not answer. Your work goes on here.');
      this._ids.set('connection gone', this._warn(text, []));
    } else if (steps.connection === 'back') {
      Notification.success(t.__('The hub and its service answer again.'), { autoClose: 5000 });
    } else if (steps.connection === 'refused') {
      const text = t.__(
        'The hub does not know this server any more: it was stopped or replaced. Save your work, and start the session again.'
      );
      this._ids.set('connection refused', this._warn(text, []));
    }
  }

  private _warn(text: string, actions: Notification.IAction[]): string {
    return Notification.warning(text, { autoClose: false, actions });
  }

  private _actionsFor(alert: IAlert): Notification.IAction[] {
    const panel: Notification.IAction = {
      label: this._trans.__('Open the session panel'),
      caption: alert.message,
      callback: () => this._openPanel()
    };
    const wayOut = this._wayOut(alert.code);
    return wayOut ? [wayOut, panel] : [panel];
  }

  /** What helps, if JupyterLab has it. */
  private _wayOut(code: string): Notification.IAction | null {
    const t = this._trans;
    const ways: Record<string, [string, string]> = {
      device: [SAVE_ALL, t.__('Save all')],
      enforcement: [SAVE_ALL, t.__('Save all')],
      folder: ['filebrowser:activate', t.__('Open the file browser')],
      storage: ['filebrowser:activate', t.__('Open the file browser')],
      gpu_memory: ['running:show-panel', t.__('Show what runs')]
    };
    const [command, label] = ways[code] ?? ['', ''];
    return this._commands.hasCommand(command)
      ? {
          label,
          displayType: 'accent',
          callback: event => {
            event.preventDefault(); // it stays as long as it is so
            void this._commands.execute(command).catch(console.error);
          }
        }
      : null;
  }

  private _shown: IShown = { keys: [], awaySince: null };
  private readonly _ids = new Map<string, string>();
}
