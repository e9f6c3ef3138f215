import { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';

/** Apportion's entry into JupyterLab. Panels and commands of a session go into plugins of their own. */
const session: JupyterFrontEndPlugin<void> = {
  id: 'apportion-lab:session',
  description: 'Shows that the session runs under Apportion.',
  autoStart: true,
  activate: (app: JupyterFrontEnd): void => {
    console.info(`Apportion is active in ${app.name} ${app.version}`);
  }
};

export default session;
