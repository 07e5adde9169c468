/**
 * `ng add rx-credentials-angular`.
 *
 * @module
 */
import { chain, SchematicsException, type Rule } from '@angular-devkit/schematics';
import { addDependency, ExistingBehavior } from '@schematics/angular/utility';
import { appConfigOf, applicationOf } from './bootstrap.js';
import { configured, hasHttpClient } from './configure.js';
import { checkOptions, type NgAddOptions } from './options.js';
import { dependencies } from './versions.js';

/**
 * Provides a store and the interceptor in the application's configuration, and adds the packages it imports.
 *
 * @throws {SchematicsException} a configuration that this command cannot edit; then nothing is changed
 */
export function ngAdd(options: NgAddOptions): Rule {
  return async (tree, { logger }) => {
    checkOptions(options);
    const { mainFile, needsFetch } = await applicationOf(tree, options.project);
    const appConfig = appConfigOf(tree, mainFile);
    const { fileName, text } = appConfig.source;
    const edited = configured(appConfig, options, needsFetch ? ['withFetch'] : []);
    if (edited === undefined) throw new SchematicsException(`The providers in ${fileName} are no list. Nothing was changed.`);
    if (edited.text === text) logger.info(`${fileName} provides credentials already; it was left as it is.`);
    else {
      tree.overwrite(fileName, edited.text);
      logger.info(
        `${fileName}: look at the issuer, the client id and the addresses there. Tokens are kept in memory until you add withStorage(…).`,
      );
      if (hasHttpClient(appConfig) && edited.text !== configured(appConfig, options, [])?.text)
        logger.warn(
          `${fileName}: provideHttpClient has withFetch() now, which Angular's server needs for tokens. Browsers take it from there, too: uploads report no progress any more.`,
        );
    }
    if (edited.hidden !== undefined)
      logger.warn(
        `${fileName}: credentialsInterceptor was not added, since ${edited.hidden} may provide HttpClient already, and a second provideHttpClient(…) would change it. ` +
          `Where provideHttpClient(…) is called, add withInterceptors([credentialsInterceptor])${needsFetch ? ' and withFetch()' : ''} as its last feature, if it is not there; ` +
          `if nothing calls it, add provideHttpClient(${needsFetch ? 'withFetch(), ' : ''}withInterceptors([credentialsInterceptor])). Until then requests go without a token.`,
      );
    return chain(Object.entries(dependencies()).map(([name, range]) => addDependency(name, range, { existing: ExistingBehavior.Skip })));
  };
}
