import { Toolbar, ToolbarButton } from '@jupyterlab/ui-components';
import { MainAreaWidget, Notification } from '@jupyterlab/apputils';
import { TranslationBundle } from '@jupyterlab/translation';
import { Widget } from '@lumino/widgets';

import { AppsClient, IApp, problemText, progressOf } from './apps';
import { element, setShown, setText } from './dom';

const STARTING_MS = 1000;
const READY_MS = 10000;

/** A page of this session in a tab of JupyterLab, with a way into a tab of the browser. */
export class PageWidget extends MainAreaWidget<Widget> {
  constructor(
    title: string,
    private readonly _address: string,
    protected readonly trans: TranslationBundle
  ) {
    super({ content: new Widget({ node: element('div', { class: 'apl-page' }) }) });
    this.title.label = title;
    this.title.closable = true;
    this.frame.title = title;
    this.content.node.append(this.frame);
    const button = (label: string, onClick: () => void) =>
      this.toolbar.addItem(label, new ToolbarButton({ label, onClick }));
    button(trans.__('Reload'), () => this.load());
    button(trans.__('Open in a new tab'), () => this.openOutside());
    this.toolbar.addItem('spacer', Toolbar.createSpacerItem());
  }

  /** Show the page, from its beginning. */
  load(): void {
    this.frame.src = this._address;
  }

  /** Show it in a tab of the browser. */
  openOutside(): void {
    window.open(this._address, '_blank', 'noopener');
  }

  protected readonly frame = element('iframe', { class: 'apl-frame' });
}

/** An app of the image: its start with progress, then its page, or why it failed with its log. */
export class AppWidget extends PageWidget {
  constructor(
    private _app: IApp,
    private readonly _client: AppsClient,
    trans: TranslationBundle,
    private readonly _told: (app: IApp) => void
  ) {
    super(_app.title, _app.url, trans);
    this.id = `apportion-app-${_app.name}`;
    for (const [label, act] of [
      [trans.__('Restart'), () => this._act('restart')],
      [trans.__('Stop'), () => this._act('stop')]
    ] as const) {
      this.toolbar.addItem(label, new ToolbarButton({ label, onClick: () => void act() }));
    }
    this._again.addEventListener('click', () => void this._act('start'));
    this._box.append(this._text, this._progress, this._again, this._log);
    this.content.node.prepend(this._box);
    this._show(_app);
    void this._act('start');
  }

  dispose(): void {
    window.clearTimeout(this._timer);
    super.dispose();
  }

  private async _act(action: 'start' | 'stop' | 'restart'): Promise<void> {
    await this._look(() => this._client.act(this._app.name, action));
  }

  /** Ask, show, and ask again: often while it starts, else seldom and only while it is seen. */
  private async _look(ask: () => Promise<IApp>): Promise<void> {
    window.clearTimeout(this._timer);
    try {
      this._show(await ask());
    } catch {
      setText(this._text, this.trans.__('This server does not answer now; it is asked again.'));
      setShown(this._box, true);
    }
    if (!this.isDisposed) {
      const wait = this._app.state === 'starting' ? STARTING_MS : READY_MS;
      this._timer = window.setTimeout(() => void this._lookAgain(), wait);
    }
  }

  private async _lookAgain(): Promise<void> {
    if (!this.isVisible || document.visibilityState !== 'visible') {
      this._timer = window.setTimeout(() => void this._lookAgain(), STARTING_MS);
      return;
    }
    await this._look(async () => {
      const apps = await this._client.list();
      return apps.find(app => app.name === this._app.name) ?? this._app;
    });
  }

  private _show(app: IApp): void {
    const t = this.trans;
    const before = this._app.state;
    const died = app.restarts > this._app.restarts;
    this._app = app;
    this._told(app);
    const ready = app.state === 'ready';
    setShown(this._box, !ready);
    setShown(this.frame, ready);
    setShown(this._progress, app.state === 'starting');
    setShown(this._again, app.state === 'failed' || app.state === 'stopped');
    setShown(this._log, app.state === 'failed');
    if (ready && (died || before !== 'ready' || !this.frame.src)) {
      this.load();
    }
    if (died) {
      const text = t.__('%1 had ended by itself, and is started again.', app.title);
      Notification.warning(text, { autoClose: 10000 });
    }
    if (app.state === 'starting') {
      const of = t.__('%1 s of about %2 s', Math.round(app.seconds), Math.round(app.expected_s));
      setText(this._text, `${t.__('Starting %1…', app.title)} ${of}`);
      this._progress.value = progressOf(app);
    } else if (app.state === 'failed') {
      setText(this._text, t.__('%1 has failed: %2', app.title, problemText(app, t)));
      void this._showLog();
    } else if (app.state === 'stopped') {
      setText(this._text, t.__('%1 does not run.', app.title));
    }
  }

  private async _showLog(): Promise<void> {
    const log = await this._client.log(this._app.name).catch(() => '');
    setText(this._log, log || this.trans.__('It has printed nothing.'));
  }

  private readonly _box = element('div', { class: 'apl-starting' });
  private readonly _text = element('p', { role: 'status' });
  private readonly _progress = element('progress', { max: '1' });
  private readonly _again = element(
    'button',
    { type: 'button', class: 'jp-mod-styled' },
    this.trans.__('Start again')
  );
  private readonly _log = element('pre', { class: 'apl-log', tabindex: '0' });
  private _timer = 0;
}
