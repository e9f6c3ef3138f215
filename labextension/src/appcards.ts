import { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette, InputDialog, Notification } from '@jupyterlab/apputils';
import { ILauncher } from '@jupyterlab/launcher';
import { ServerConnection } from '@jupyterlab/services';
import { ITranslator, nullTranslator, TranslationBundle } from '@jupyterlab/translation';
import { LabIcon } from '@jupyterlab/ui-components';
import { IDisposable } from '@lumino/disposable';

import { AppsClient, cardLabel, IApp, portProblem, problemText, readPort } from './apps';
import { AppWidget, PageWidget } from './appwidget';

const LOOK_MS = 10000;
/** After the kernels. */
const RANK = 1000;
const OPEN_PORT = 'apportion-lab:open-port';

const portIcon = new LabIcon({
  name: 'apportion-lab:port',
  svgstr: `<svg xmlns="http://www.w3.org/2000/svg" width="16" height="16" viewBox="0 0 24 24">
    <path class="jp-icon3" fill="#616161" d="M12 2a10 10 0 1 0 0 20 10 10 0 0 0 0-20zm6.9 6h-2.9a15 15 0 0 0-1.4-3.5A8 8 0 0 1 18.900 8zM12 4c.8 1.200 1.500 2.500 1.900 4h-3.800c.4-1.500 1.100-2.800 1.900-4zM4.300 14a8 8 0 0 1 0-4h3.300a16 16 0 0 0 0 4zm.8 2H8a15 15 0 0 0 1.400 3.500A8 8 0 0 1 5.100 16zM8 8H5.100a8 8 0 0 1 4.300-3.500A15 15 0 0 0 8 8zm4 12c-.8-1.200-1.500-2.500-1.900-4h3.800c-.4 1.500-1.100 2.800-1.900 4zm2.300-6H9.700a14 14 0 0 1 0-4h4.600a14 14 0 0 1 0 4zm.3 5.500A15 15 0 0 0 16 16h2.900a8 8 0 0 1-4.300 3.500zM16.400 14a16 16 0 0 0 0-4h3.300a8 8 0 0 1 0 4z"/>
  </svg>`
});

/** Cards of the image's apps and of any port in the launcher, and as commands. */
class AppCards {
  constructor(
    private readonly _app: JupyterFrontEnd,
    private readonly _client: AppsClient,
    private readonly _trans: TranslationBundle,
    private readonly _category: string,
    private readonly _launcher: ILauncher | null,
    private readonly _palette: ICommandPalette | null
  ) {}

  async start(): Promise<void> {
    this._addPortCommand();
    for (const [rank, app] of (await this._list()).entries()) {
      this._add(app, rank);
    }
    window.setInterval(() => void this._look(), LOOK_MS);
  }

  /** Asked until there is an answer; a server without our extension has no apps to tell of. */
  private async _list(): Promise<IApp[]> {
    for (;;) {
      try {
        return await this._client.list();
      } catch (error) {
        if (error instanceof ServerConnection.ResponseError && error.response.status === 404) {
          return [];
        }
        await new Promise(resolve => window.setTimeout(resolve, LOOK_MS));
      }
    }
  }

  /** While a launcher is open and the page visible, and only then. */
  private async _look(): Promise<void> {
    if (document.visibilityState !== 'visible' || !document.querySelector('.jp-Launcher')) {
      return;
    }
    const apps = await this._client.list().catch(() => []);
    apps.forEach(app => this._note(app));
  }

  private _add(app: IApp, rank: number): void {
    const command = `apportion-lab:app:${app.name}`;
    const icon = app.icon
      ? new LabIcon({ name: `apportion-lab:app-${app.name}`, svgstr: app.icon })
      : portIcon;
    const now = () => this._apps.get(app.name) ?? app;
    this._apps.set(app.name, app);
    this._app.commands.addCommand(command, {
      label: args => (args.isPalette ? app.title : cardLabel(now(), this._trans)),
      caption: () => problemText(now(), this._trans) || app.title,
      icon,
      execute: () => this._open(now(), icon)
    });
    this._palette?.addItem({
      command,
      category: this._trans.__('Apportion'),
      args: { isPalette: true }
    });
    this._place(command, rank);
    this._ranks.set(app.name, rank);
  }

  /** Put the card there anew: the launcher shows a label as it was when the card came. */
  private _place(command: string, rank: number): void {
    this._items.get(command)?.dispose();
    const item = this._launcher?.add(this._card(command, RANK + rank));
    if (item) {
      this._items.set(command, item);
    }
  }

  /** In this category the launcher shows pictures by their address, as those of kernels. */
  private _card(command: string, rank: number): ILauncher.IItemOptions {
    const svg = this._app.commands.icon(command) as LabIcon;
    const kernelIconUrl = `data:image/svg+xml,${encodeURIComponent(svg.svgstr)}`;
    return { command, category: this._category, rank, kernelIconUrl };
  }

  private _note(app: IApp): void {
    const before = this._apps.get(app.name);
    if (!before) {
      return;
    }
    this._apps.set(app.name, app);
    if (cardLabel(before, this._trans) !== cardLabel(app, this._trans)) {
      const command = `apportion-lab:app:${app.name}`;
      this._app.commands.notifyCommandChanged(command);
      this._place(command, this._ranks.get(app.name) ?? 0);
    }
  }

  /** One tab for each app: a second click goes to it, and starts an app that has ended. */
  private _open(app: IApp, icon: LabIcon): void {
    const id = `apportion-app-${app.name}`;
    const there = [...this._app.shell.widgets('main')].find(widget => widget.id === id);
    if (!there) {
      const widget = new AppWidget(app, this._client, this._trans, told => this._note(told));
      this._show(widget, icon);
    } else {
      this._app.shell.activateById(id);
    }
  }

  /** In a tab of JupyterLab, or of the browser where the shell has none, as that of Notebook. */
  private _show(widget: PageWidget, icon: LabIcon): void {
    widget.title.icon = icon;
    this._app.shell.add(widget, 'main');
    if (widget.isAttached) {
      this._app.shell.activateById(widget.id);
    } else {
      widget.openOutside();
      widget.dispose();
    }
  }

  private _addPortCommand(): void {
    const t = this._trans;
    this._app.commands.addCommand(OPEN_PORT, {
      label: t.__('Open a port…'),
      caption: t.__('Open a port'),
      icon: portIcon,
      execute: () => this._openPort()
    });
    this._palette?.addItem({ command: OPEN_PORT, category: t.__('Apportion') });
    this._launcher?.add(this._card(OPEN_PORT, RANK + 100));
  }

  private async _openPort(): Promise<void> {
    const t = this._trans;
    const ports = await this._client.ports().catch(() => []);
    const there = ports.length
      ? t.__('Programs here listen on: %1.', ports.join(', '))
      : t.__('Nothing listens on a port of this session yet. Start your program first.');
    const { value } = await InputDialog.getText({
      title: t.__('Open a port'),
      label: `${there} ${t.__('Port that your program listens on (1 to 65535):')}`,
      okLabel: t.__('Open'),
      placeholder: '8080'
    });
    if (value === null) {
      return;
    }
    const port = readPort(value);
    if (port === null) {
      Notification.error(t.__('A port is a whole number from 1 to 65535.'), { autoClose: 8000 });
      return;
    }
    const { answer, url } = await this._client.port(port);
    const problem = portProblem(port, answer, t);
    if (problem) {
      Notification.error(problem, { autoClose: 15000 });
      return;
    }
    const widget = new PageWidget(t.__('Port %1', port), url, t);
    widget.id = `apportion-port-${port}-${++this._opened}`;
    widget.load();
    this._show(widget, portIcon);
  }

  private readonly _apps = new Map<string, IApp>();
  private readonly _ranks = new Map<string, number>();
  private readonly _items = new Map<string, IDisposable>();
  private _opened = 0;
}

export const appCards: JupyterFrontEndPlugin<void> = {
  id: 'apportion-lab:apps',
  description: 'Cards for the apps of the image, with their state, and for any port.',
  autoStart: true,
  optional: [ITranslator, ILauncher, ICommandPalette],
  activate: (
    app: JupyterFrontEnd,
    translator: ITranslator | null,
    launcher: ILauncher | null,
    palette: ICommandPalette | null
  ): void => {
    const trans = (translator ?? nullTranslator).load('apportion_lab');
    const client = new AppsClient(app.serviceManager.serverSettings);
    // among the notebooks, where they are seen; the name is JupyterLab's own
    const category = (translator ?? nullTranslator).load('jupyterlab').gettext('Notebook');
    const cards = new AppCards(app, client, trans, category, launcher, palette);
    void app.restored.then(() => cards.start());
  }
};
