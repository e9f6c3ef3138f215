import { ILayoutRestorer, JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { IStatusBar } from '@jupyterlab/statusbar';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { LabIcon } from '@jupyterlab/ui-components';

import { SessionActions } from './actions';
import { AlertNotifier } from './notifier';
import { SessionPanel } from './panel';
import { SessionClient } from './session';
import { ISessionState, SessionState } from './state';
import { StatusItem } from './status';
import { SessionWarning } from './warning';

const DOMAIN = 'apportion_lab';
const OPEN = 'apportion-lab:open-panel';

const icon = new LabIcon({
  name: 'apportion-lab:session',
  svgstr: `<svg xmlns="http://www.w3.org/2000/svg" width="16" height="16" viewBox="0 0 24 24">
    <path class="jp-icon3" fill="#616161" d="M4 4h16a1 1 0 0 1 1 1v14a1 1 0 0 1-1 1H4a1 1 0 0 1-1-1V5a1 1 0 0 1 1-1zm1 2v12h4.5V6zm6.5 0v5H19V6zm0 7v5H19v-5z"/>
  </svg>`
});

/** What the hub says of this session, for all other plugins. */
const state: JupyterFrontEndPlugin<SessionState> = {
  id: 'apportion-lab:session',
  description: 'Asks the hub about this session while the page is visible.',
  autoStart: true,
  provides: ISessionState,
  optional: [ITranslator],
  activate: (app: JupyterFrontEnd, translator: ITranslator | null): SessionState => {
    const language = (translator ?? nullTranslator).languageCode;
    const client = new SessionClient(app.serviceManager.serverSettings, language);
    const made = new SessionState(client);
    void app.restored.then(() => made.start());
    return made;
  }
};

/** The panel in the side bar, the line in the status bar, the warnings. */
const session: JupyterFrontEndPlugin<void> = {
  id: 'apportion-lab:panel',
  description: 'Shows the session: what it holds and uses, its time, its folders, its project.',
  autoStart: true,
  requires: [ISessionState],
  optional: [ITranslator, IStatusBar, ICommandPalette, ILayoutRestorer],
  activate: (
    app: JupyterFrontEnd,
    sessionState: SessionState,
    translator: ITranslator | null,
    statusBar: IStatusBar | null,
    palette: ICommandPalette | null,
    restorer: ILayoutRestorer | null
  ): void => {
    const trans = (translator ?? nullTranslator).load(DOMAIN);
    const actions = new SessionActions(app, sessionState, trans);
    const openPanel = () => void app.commands.execute(OPEN);
    const warning = new SessionWarning(app.commands, trans, actions);
    sessionState.changed.connect(() => {
      if (sessionState.connection === 'ok' && sessionState.session) {
        warning.follow(sessionState.session);
      }
    });
    new AlertNotifier(sessionState, app.commands, trans, openPanel);

    // made with the first answer: outside Apportion there is nothing to show
    const show = () => {
      if (!sessionState.session) {
        return;
      }
      sessionState.changed.disconnect(show);
      const panel = new SessionPanel(sessionState, actions, trans);
      panel.title.icon = icon;
      panel.title.caption = trans.__('Session');
      app.commands.addCommand(OPEN, {
        label: trans.__('Show the Session Panel'),
        icon,
        execute: () => {
          app.shell.activateById(panel.id);
          panel.node.focus({ preventScroll: true });
        }
      });
      app.shell.add(panel, 'right', { rank: 300 });
      restorer?.add(panel, panel.id);
      palette?.addItem({ command: OPEN, category: trans.__('Apportion') });
      statusBar?.registerStatusItem('apportion-lab:status', {
        item: new StatusItem(sessionState, trans, openPanel),
        align: 'right',
        rank: 90
      });
    };
    sessionState.changed.connect(show);
  }
};

export const plugins: JupyterFrontEndPlugin<any>[] = [state, session];
