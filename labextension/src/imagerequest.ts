/** Where a request for an image stands, in words. */

import { IImageRequest } from './answers';
import { ITranslate } from './format';

export function imageRequestText(request: IImageRequest, trans: ITranslate): string {
  const percent = request.progress === null ? '' : ` ${Math.round(request.progress * 100)} %`;
  switch (request.state) {
    case 'REQUESTED':
      return trans.__('The image "%1" waits for an admin to approve it.', request.name);
    case 'APPROVED':
      return trans.__('The image "%1" is approved and will be saved.', request.name);
    case 'SAVING':
      return trans.__('The image "%1" is being saved.', request.name) + percent;
    case 'PUSHING':
      return trans.__('The image "%1" is being pushed to the registry.', request.name) + percent;
    case 'DONE':
      return trans.__('The image is ready: %1', request.reference ?? request.name);
    case 'DECLINED':
      return trans.__('The image "%1" was declined: %2', request.name, request.reason);
    case 'CANCELLED':
      return trans.__('The request for the image "%1" was withdrawn.', request.name);
    default:
      return trans.__('The image "%1" could not be made: %2', request.name, request.reason);
  }
}
