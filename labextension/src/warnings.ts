import { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { Poll } from '@lumino/polling';

import { fetchSession, NotUnderApportion } from './session';
import { SessionWarning } from './warning';

const INTERVAL_MS = 5000;
const LONGEST_INTERVAL_MS = 30000;

/** Warns before this session is stopped. Asks while the page is visible, and only then. */
export const warnings: JupyterFrontEndPlugin<void> = {
  id: 'apportion-lab:warnings',
  description: 'Warns before Apportion stops this session.',
  autoStart: true,
  optional: [ITranslator],
  activate: (app: JupyterFrontEnd, translator: ITranslator | null): void => {
    const trans = (translator ?? nullTranslator).load('apportion_lab');
    const warning = new SessionWarning(app.commands, trans);
    const poll = new Poll({
      name: 'apportion-lab:session',
      auto: false,
      frequency: { interval: INTERVAL_MS, backoff: true, max: LONGEST_INTERVAL_MS },
      standby: 'when-hidden',
      factory: async () => {
        try {
          warning.follow(await fetchSession(app.serviceManager.serverSettings));
        } catch (error) {
          if (error instanceof NotUnderApportion) {
            poll.dispose();
          }
          throw error; // asked again, less and less often
        }
      }
    });
    const onVisible = () => {
      if (document.visibilityState === 'visible' && !poll.isDisposed) {
        void poll.refresh();
      }
    };
    document.addEventListener('visibilitychange', onVisible);
    poll.disposed.connect(() => document.removeEventListener('visibilitychange', onVisible));
    void app.restored.then(() => poll.start());
  }
};
