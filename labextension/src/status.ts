import { TranslationBundle } from '@jupyterlab/translation';
import { Widget } from '@lumino/widgets';

import { element, setText } from './dom';
import { statusOf } from './format';
import { SessionState } from './state';

const SIGNS = { ok: '', amber: '▲ ', red: '● ' };

/** GPU memory and time left in the status bar; a click opens the panel. */
export class StatusItem extends Widget {
  constructor(
    private readonly _state: SessionState,
    private readonly _trans: TranslationBundle,
    openPanel: () => void
  ) {
    super();
    this.addClass('apl-status');
    this._button.addEventListener('click', openPanel);
    this.node.append(this._button);
    this._state.changed.connect(this._render, this);
    this._render();
  }

  private _render(): void {
    const { connection, session } = this._state;
    this.setHidden(session === null);
    if (!session) {
      return;
    }
    const status = statusOf(session, this._trans);
    const words =
      connection === 'refused' ? this._trans.__('unknown to the hub') : this._trans.__('hub away');
    const level = connection === 'ok' || status.level === 'red' ? status.level : 'amber';
    this._button.dataset.level = level;
    setText(this._button, [SIGNS[level] + status.text, words].slice(0, connection === 'ok' ? 1 : 2).join(' · '));
    this._button.title = this._trans.__('Open the session panel');
  }

  private readonly _button = element('button', { type: 'button', class: 'apl-status-button' });
}
