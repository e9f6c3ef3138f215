import { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';

/** Commands of JupyterLab that an address may ask for: `lab?open=terminal`. */
const COMMANDS: Record<string, string> = { terminal: 'terminal:create-new' };

/**
 * Opens what the address asks for, as the buttons on Apportion's pages do. The address forgets
 * it at once: a reload opens nothing again.
 */
export const opening: JupyterFrontEndPlugin<void> = {
  id: 'apportion-lab:opening',
  description: 'Opens a terminal when the address asks for one.',
  autoStart: true,
  activate: (app: JupyterFrontEnd): void => {
    const address = new URL(window.location.href);
    const command = COMMANDS[address.searchParams.get('open') ?? ''];
    if (!command) {
      return;
    }
    void app.restored.then(async () => {
      const now = new URL(window.location.href);
      now.searchParams.delete('open');
      window.history.replaceState(window.history.state, '', now);
      if (app.commands.hasCommand(command)) {
        await app.commands.execute(command);
      }
    });
  }
};
