import { TranslationBundle } from '@jupyterlab/translation';
import { Message } from '@lumino/messaging';
import { Widget } from '@lumino/widgets';

import { alertsOf, IFolder, IPanel, IPoint, ISession, IUse } from './answers';
import { element, setShown, setText } from './dom';
import { duration, gib, Level, levelOfTime, levelOfUse, size } from './format';
import { imageRequestText } from './imagerequest';
import { Plot } from './plot';
import { SessionState } from './state';

/** From these parts on a folder's bar is amber and red. */
const NEARLY_FULL = 0.9;
const FULL = 0.99;

/** What the panel's buttons do. */
export interface IPanelActions {
  extend(panel: IPanel): Promise<void>;
  stop(panel: IPanel): Promise<void>;
  inUse(): Promise<void>;
  share(panel: IPanel): Promise<void>;
  stopSharing(): Promise<void>;
  makeImage(panel: IPanel): Promise<void>;
  withdrawImage(): Promise<void>;
}

/** The session panel of the side bar. Its elements are made once; answers change their texts. */
export class SessionPanel extends Widget {
  constructor(
    private readonly _state: SessionState,
    private readonly _actions: IPanelActions,
    private readonly _trans: TranslationBundle
  ) {
    super();
    this.id = 'apportion-session-panel';
    this.addClass('apl-panel');
    this.node.tabIndex = -1; // focused when it is opened, so that the keyboard goes on from there
    this._build();
    this._state.changed.connect(this._render, this);
    this._render();
  }

  protected onAfterAttach(message: Message): void {
    this._state.watchPanel(this.isVisible);
    super.onAfterAttach(message);
  }

  protected onAfterShow(message: Message): void {
    this._state.watchPanel(true);
    super.onAfterShow(message);
  }

  protected onAfterHide(message: Message): void {
    this._state.watchPanel(false);
    super.onAfterHide(message);
  }

  private _build(): void {
    const t = this._trans;
    const buttons = element(
      'div',
      { class: 'apl-buttons' },
      (this._extend = this._button(t.__('Extend…'), panel => this._actions.extend(panel))),
      (this._again = element(
        'a',
        { class: 'jp-mod-styled apl-button', target: '_blank', rel: 'noopener' },
        t.__('Restart with another image or slice…')
      )),
      (this._share = this._button(t.__('Share link…'), panel => this._actions.share(panel))),
      (this._unshare = this._button(t.__('Stop sharing'), () => this._actions.stopSharing())),
      (this._stop = this._button(t.__('Stop…'), panel => this._actions.stop(panel)))
    );
    this._extend.setAttribute('aria-describedby', this._noMore.id);
    this._stop.classList.add('jp-mod-warn');
    const plots = element('div', { class: 'apl-plots' });
    plots.append(...Object.values(this._plots).map(plot => plot.node));
    this._body.append(
      element('div', { class: 'apl-head' }, this._name, this._about),
      this._warning,
      section(t.__('Slice'), this._slice, this._isolates, plots, this._unmeasured),
      section(t.__('Time'), this._left, this._why, this._noMore, this._idle, this._here),
      section(t.__('Project'), this._project, this._quota, this._quotaBar),
      section(t.__('Folders'), this._folders),
      section(t.__('Image'), this._image, this._request, this._makeImage, this._withdraw),
      section(t.__('This session'), buttons, this._page)
    );
    this.node.append(this._connection, this._body);
  }

  private _render(): void {
    const { connection, session, panel } = this._state;
    const t = this._trans;
    const words: Record<string, string> = {
      unknown: t.__('Asking about this session…'),
      away: t.__('The hub or its service does not answer now. Your work goes on; what is shown may be old.'),
      refused: t.__('The hub does not know this server any more. Save your work, and start the session again.'),
      none: t.__('This server does not run under Apportion.')
    };
    const said = words[connection] ?? (panel ? '' : words.unknown);
    setShown(this._connection, said !== '');
    setText(this._connection, said);
    setShown(this._body, panel !== null); // its buttons are about what it shows
    this._body.classList.toggle('apl-old', connection !== 'ok');
    if (session) {
      this._renderSession(session);
    }
    if (panel) {
      this._renderPanel(panel);
    }
  }

  private _renderSession(session: ISession): void {
    const t = this._trans;
    setText(this._name, session.name);
    const texts = [session.notice?.message ?? '', ...alertsOf(session).map(each => each.message)];
    setText(this._warning, texts.filter(Boolean).join('\n'));
    setShown(this._warning, this._warning.textContent !== '');
    const slice = session.fgpu
      ? t.__('%1 fGPU, %2 GiB of GPU memory', session.fgpu, gib(session.gpu_memory_mib))
      : t.__('No GPU');
    const rest = t.__('CPU cores: %1; memory: %2 GiB', session.cpu_milli / 1000, gib(session.memory_mib));
    const simulated = session.simulated ? ` (${t.__('simulated')})` : '';
    setText(this._slice, `${slice}${simulated}; ${rest}`);
  }

  private _renderPanel(panel: IPanel): void {
    const t = this._trans;
    const version = panel.image_version && ` ${panel.image_version}`;
    const node = panel.node ? ` · ${t.__('node %1', panel.node)}` : '';
    setText(this._about, `${panel.image_title}${version}${node}`);
    setText(this._isolates, panel.enforcer ? `${panel.enforcer.title}: ${panel.enforcer.isolates}` : '');
    this._renderPlots(panel);
    this._renderTime(panel);
    setText(this._project, panel.quota.title || panel.quota.project);
    setText(this._quota, panel.quota.sentence);
    const most = panel.quota.limit_fgpu ?? panel.quota.quota_fgpu;
    setShown(this._quotaBar, most !== null && most > 0);
    this._quotaBar.max = most || 1;
    this._quotaBar.value = panel.quota.used_fgpu;
    this._renderFolders(panel.folders);
    setText(this._image, panel.image);
    const request = panel.image_request;
    setText(this._request, request ? imageRequestText(request, t) : '');
    setShown(this._makeImage, panel.can.image_request);
    setShown(this._withdraw, request !== null && request.pending);
    this._extend.disabled = !panel.time.extend.allowed;
    setText(this._noMore, panel.time.extend.why);
    this._again.href = panel.links.launch_again;
    setShown(this._share, panel.can.share);
    setShown(this._unshare, panel.shared);
    setShown(this._stop, panel.can.stop);
    this._page.href = panel.links.page;
  }

  private _renderPlots(panel: IPanel): void {
    const t = this._trans;
    const notMeasured = t.__('not measured');
    const points = panel.recent.points;
    const rows: [keyof IUse, number, (value: number) => string][] = [
      ['gpu_memory_mib', panel.gpu_memory_mib, v => `${gib(v)} / ${gib(panel.gpu_memory_mib)} GiB`],
      ['gpu', 1, v => `${Math.round(v * 100)} %`],
      ['cpu_milli', panel.cpu_milli, v => `${(v / 1000).toFixed(1)} / ${panel.cpu_milli / 1000}`],
      ['memory_mib', panel.memory_mib, v => `${gib(v)} / ${gib(panel.memory_mib)} GiB`]
    ];
    for (const [key, limit, words] of rows) {
      const plot = this._plots[key];
      const used = panel.use[key];
      const gpu = key === 'gpu' || key === 'gpu_memory_mib';
      setShown(plot.node, panel.fgpu > 0 || !gpu);
      const level: Level = key === 'gpu' || key === 'cpu_milli' ? 'ok' : levelOfUse(used, limit);
      plot.show(valuesOf(points, key), limit, used === null ? notMeasured : words(used), level);
    }
    setShown(this._unmeasured, panel.simulated);
  }

  private _renderTime(panel: IPanel): void {
    const t = this._trans;
    const { seconds_left, message, idle } = panel.time;
    const left = panel.notice?.seconds_left ?? seconds_left;
    setText(
      this._left,
      left === null ? t.__('No end is in sight.') : t.__('%1 left', duration(left, t))
    );
    this._left.dataset.level = panel.notice ? 'red' : levelOfTime(left);
    setText(this._why, left === null ? '' : t.__('Why it ends then: %1', message));
    const limited = idle.limit_s !== null;
    setShown(this._idle, limited);
    setShown(this._here, limited);
    if (limited && idle.limit_s !== null) {
      const limit = duration(idle.limit_s, t);
      setText(
        this._idle,
        idle.idle_s !== null && idle.idle_s >= 60
          ? t.__('Idle for %1; it is stopped after %2.', duration(idle.idle_s, t), limit)
          : t.__('In use; it is stopped after %1 without activity.', limit)
      );
    }
  }

  /** Anew only when something has changed: nothing in it takes the focus. */
  private _renderFolders(folders: IFolder[]): void {
    const told = JSON.stringify(folders);
    if (told === this._toldFolders) {
      return;
    }
    this._toldFolders = told;
    const t = this._trans;
    const rows = folders.map(folder => {
      const mode = folder.mode === 'ro' ? t.__('read only') : t.__('read and write');
      const free =
        folder.free_bytes === null ? mode : `${mode} · ${t.__('%1 free', size(folder.free_bytes))}`;
      const row = element(
        'li',
        {},
        element('span', { class: 'apl-folder', title: folder.target }, folder.name || t.__('home')),
        element('span', { class: 'apl-small' }, folder.full ? `${free} · ${t.__('full')}` : free)
      );
      if (folder.used_bytes !== null && folder.limit_bytes) {
        row.append(room(folder.used_bytes, folder.limit_bytes, t));
      }
      row.dataset.level = folder.full ? 'red' : 'ok';
      return row;
    });
    this._folders.replaceChildren(
      ...(rows.length ? rows : [element('li', { class: 'apl-small' }, t.__('None is mounted.'))])
    );
  }

  /** A button of the panel: while what it does is under way it cannot be pressed again. */
  private _button(label: string, act: (panel: IPanel) => Promise<void>): HTMLButtonElement {
    const button = element('button', { type: 'button', class: 'jp-mod-styled apl-button' }, label);
    button.addEventListener('click', () => {
      const panel = this._state.panel;
      if (!panel || button.getAttribute('aria-busy') === 'true') {
        return;
      }
      button.setAttribute('aria-busy', 'true');
      void act(panel).finally(() => button.removeAttribute('aria-busy'));
    });
    return button;
  }

  private readonly _plots: Record<keyof IUse, Plot> = {
    gpu_memory_mib: new Plot(this._trans.__('GPU memory')),
    gpu: new Plot(this._trans.__('GPU')),
    cpu_milli: new Plot(this._trans.__('CPU cores')),
    memory_mib: new Plot(this._trans.__('Memory'))
  };
  private readonly _connection = element('p', { class: 'apl-connection', role: 'status' });
  private readonly _body = element('div', { class: 'apl-body' });
  private readonly _name = element('h2', {});
  private readonly _about = element('p', { class: 'apl-small' });
  private readonly _warning = element('p', { class: 'apl-warning', role: 'status' });
  private readonly _slice = element('p', { class: 'apl-slice' });
  private readonly _isolates = element('p', { class: 'apl-small' });
  private readonly _unmeasured = element(
    'p',
    { class: 'apl-small' },
    this._trans.__('Simulated GPUs compute nothing: there is nothing to measure.')
  );
  private readonly _left = element('p', { class: 'apl-left' });
  private readonly _why = element('p', { class: 'apl-small' });
  private readonly _noMore = element('p', { id: 'apl-no-more', class: 'apl-small' });
  private readonly _idle = element('p', { class: 'apl-small' });
  private readonly _here = this._button(this._trans.__('I am here'), () => this._actions.inUse());
  private readonly _project = element('p', {});
  private readonly _quota = element('p', { class: 'apl-small' });
  private readonly _quotaBar = element('meter', { 'aria-label': this._trans.__('Use of the quota') });
  private readonly _folders = element('ul', { class: 'apl-folders' });
  private readonly _image = element('p', { class: 'apl-small apl-break' });
  private readonly _request = element('p', { class: 'apl-request', role: 'status' });
  private readonly _makeImage = this._button(
    this._trans.__('Make an image of this environment…'),
    panel => this._actions.makeImage(panel)
  );
  private readonly _withdraw = this._button(this._trans.__('Withdraw the request'), () =>
    this._actions.withdrawImage()
  );
  private readonly _page = element(
    'a',
    { target: '_blank', rel: 'noopener', class: 'apl-link' },
    this._trans.__('All about this session')
  );
  private _extend!: HTMLButtonElement;
  private _again!: HTMLAnchorElement;
  private _share!: HTMLButtonElement;
  private _unshare!: HTMLButtonElement;
  private _stop!: HTMLButtonElement;
  private _toldFolders = '';
}

function section(title: string, ...children: Node[]): HTMLElement {
  return element('section', {}, element('h3', {}, title), ...children);
}

/** A bar: how much of what its owner's folders may take together is taken. */
function room(used: number, limit: number, t: TranslationBundle): HTMLElement {
  const words = t.__('%1 of %2 used', size(used), size(limit));
  const bar = element('meter', { 'aria-label': words, title: words });
  bar.max = limit;
  bar.low = NEARLY_FULL * limit;
  bar.high = FULL * limit;
  bar.optimum = 0;
  bar.value = used;
  return bar;
}

function valuesOf(points: IPoint[], key: keyof IUse) {
  return points.map(point => ({ ago_s: point.ago_s, value: point[key] }));
}
