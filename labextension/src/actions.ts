import { JupyterFrontEnd } from '@jupyterlab/application';
import { Clipboard, Dialog, InputDialog, Notification, showDialog } from '@jupyterlab/apputils';
import { TranslationBundle } from '@jupyterlab/translation';
import { Widget } from '@lumino/widgets';

import { IPanel } from './answers';
import { element } from './dom';
import { duration, extensions } from './format';
import { IPanelActions } from './panel';
import { Away, Failed, Refused } from './session';
import { SessionState } from './state';

const EXTENSION_S = 3600;

/** What the buttons of the panel and of notifications do, with the questions they ask. */
export class SessionActions implements IPanelActions {
  constructor(
    private readonly _app: JupyterFrontEnd,
    private readonly _state: SessionState,
    private readonly _trans: TranslationBundle
  ) {}

  async extend(panel: IPanel): Promise<void> {
    const t = this._trans;
    const steps = extensions(panel.time.extend.most_s);
    const labels = steps.map(step => t.__('by %1', duration(step, t)));
    const { value } = await InputDialog.getItem({
      title: t.__('Extend this session'),
      label: t.__('How much longer it may run:'),
      items: labels,
      okLabel: t.__('Extend')
    });
    const seconds = steps[labels.indexOf(value ?? '')];
    if (seconds) {
      await this.extendBy(seconds);
    }
  }

  /** Where nobody answers an hour is offered: whether it is allowed is told after the click. */
  async oneExtension(): Promise<number> {
    try {
      const { allowed, most_s } = (await this._state.client.panel()).time.extend;
      return allowed ? Math.min(EXTENSION_S, most_s ?? EXTENSION_S) : 0;
    } catch {
      return EXTENSION_S;
    }
  }

  async extendBy(seconds: number): Promise<void> {
    await this._do('session/extend', { seconds });
  }

  async inUse(): Promise<void> {
    await this._do('session/in-use');
  }

  async stop(panel: IPanel): Promise<void> {
    const t = this._trans;
    const unsaved = this._unsaved();
    const text = unsaved.length
      ? t.__('These documents are not saved and will be lost: %1.', unsaved.join(', '))
      : t.__('All open documents are saved.');
    const { button } = await showDialog({
      title: t.__('Stop this session?'),
      body: `${text} ${t.__('Running kernels and terminals end; your folders stay.')}`,
      buttons: [
        Dialog.cancelButton({ label: t.__('Cancel') }),
        Dialog.warnButton({ label: t.__('Stop') })
      ]
    });
    if (button.accept) {
      await this._do('session/stop');
    }
  }

  async share(panel: IPanel): Promise<void> {
    const t = this._trans;
    const { button } = await showDialog({
      title: t.__('Share this session?'),
      body: t.__(
        'Whoever opens the link, logged in to the hub, works in this session as you: with your files, your kernels and everything mounted here. The link holds for a day, and you can take it back at any time.'
      ),
      buttons: [
        Dialog.cancelButton({ label: t.__('Cancel') }),
        Dialog.okButton({ label: t.__('Make a link') })
      ]
    });
    const answer = button.accept ? await this._do('session/share') : null;
    if (answer) {
      await this._showLink(new URL(answer.url, window.location.href).href);
    }
  }

  async stopSharing(): Promise<void> {
    if (await this._do('session/share', {}, 'DELETE')) {
      const text = this._trans.__('Nobody else has access to this session any more.');
      Notification.success(text, { autoClose: 8000 });
    }
  }

  async makeImage(panel: IPanel): Promise<void> {
    let values = { name: '', description: '' };
    let problem = '';
    let field = '';
    for (;;) {
      const body = new ImageForm(this._trans, values, problem, field);
      const { button, value } = await showDialog({
        title: this._trans.__('Make an image of this environment'),
        body,
        focusNodeSelector: field === 'description' ? 'textarea' : 'input',
        buttons: [
          Dialog.cancelButton({ label: this._trans.__('Cancel') }),
          Dialog.okButton({ label: this._trans.__('Ask for it') })
        ]
      });
      if (!button.accept || !value) {
        return;
      }
      values = value;
      try {
        await this._state.client.act('image-request', values);
        await this._state.refresh();
        return;
      } catch (error) {
        problem = this._words(error);
        field = error instanceof Failed ? error.field : '';
      }
    }
  }

  async withdrawImage(): Promise<void> {
    await this._do('image-request', {}, 'DELETE');
  }

  /** Do it, and tell the user when it does not work; what was answered, or null. */
  private async _do(
    path: string,
    body: Record<string, unknown> = {},
    method: 'POST' | 'DELETE' = 'POST'
  ): Promise<any> {
    try {
      const answer = await this._state.client.act(path, body, method);
      await this._state.refresh();
      return answer;
    } catch (error) {
      Notification.error(this._words(error), { autoClose: 10000 });
      return null;
    }
  }

  private _words(error: unknown): string {
    if (error instanceof Failed) {
      return error.message;
    }
    if (error instanceof Away) {
      return this._trans.__('The hub or its service does not answer now; try again in a moment.');
    }
    if (error instanceof Refused) {
      return this._trans.__('The hub does not know this server any more; start the session again.');
    }
    return String((error as Error)?.message ?? error);
  }

  private async _showLink(url: string): Promise<void> {
    const field = element('input', { readonly: true, value: url, class: 'jp-mod-styled apl-link' });
    const { button } = await showDialog({
      title: this._trans.__('The link'),
      body: new Widget({ node: element('div', {}, field) }),
      buttons: [
        Dialog.cancelButton({ label: this._trans.__('Close') }),
        Dialog.okButton({ label: this._trans.__('Copy') })
      ]
    });
    if (button.accept) {
      Clipboard.copyToSystem(url);
    }
  }

  /** Titles of documents with changes that are not saved. */
  private _unsaved(): string[] {
    return [...this._app.shell.widgets('main')]
      .filter(widget => widget.title.className.includes('jp-mod-dirty'))
      .map(widget => widget.title.label);
  }
}

/** Name and description of an image. */
class ImageForm extends Widget implements Dialog.IBodyWidget<{ name: string; description: string }> {
  constructor(
    trans: TranslationBundle,
    values: { name: string; description: string },
    problem: string,
    field: string
  ) {
    super();
    this.addClass('apl-form');
    this._name.setAttribute('aria-invalid', String(field === 'name'));
    this._description.setAttribute('aria-invalid', String(field === 'description'));
    this._name.value = values.name;
    this._description.value = values.description;
    this.node.append(
      element(
        'p',
        {},
        trans.__(
          'Programs and packages that you have installed here become an image that you can launch. Your folders and home are not in it.'
        )
      ),
      element('label', {}, trans.__('Name'), this._name),
      element('label', {}, trans.__('What is in it'), this._description)
    );
    if (problem) {
      this.node.append(element('p', { class: 'apl-problem', role: 'alert' }, problem));
    }
  }

  getValue(): { name: string; description: string } {
    return { name: this._name.value.trim(), description: this._description.value.trim() };
  }

  private readonly _name = element('input', { class: 'jp-mod-styled', maxlength: '64' });
  private readonly _description = element('textarea', { class: 'jp-mod-styled', rows: '3', maxlength: '500' });
}
