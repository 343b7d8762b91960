/* The functions behind the table of commands in main.c, and the options that each takes. */
#ifndef KITH_CLI_COMMANDS_H
#define KITH_CLI_COMMANDS_H

#include "cli/cli.h"

#define COMMANDS(C)                                                                                                    \
    C(init)                                                                                                            \
    C(config_show)                                                                                                     \
    C(config_set)                                                                                                      \
    C(status)                                                                                                          \
    C(doctor)                                                                                                          \
    C(events)                                                                                                          \
    C(ps)                                                                                                              \
    C(peers)                                                                                                           \
    C(peer_add)                                                                                                        \
    C(peer_ban)                                                                                                        \
    C(peer_unban)                                                                                                      \
    C(peer_ls)                                                                                                         \
    C(net_check)                                                                                                       \
    C(chain_info)                                                                                                      \
    C(chain_block)                                                                                                     \
    C(chain_wait)                                                                                                      \
    C(chain_testimony)                                                                                                 \
    C(chain_blame)                                                                                                     \
    C(light_only)                                                                                                      \
    C(key_new)                                                                                                         \
    C(key_ls)                                                                                                          \
    C(key_rm)                                                                                                          \
    C(settle)                                                                                                          \
    C(wallet_new)                                                                                                      \
    C(wallet_restore)                                                                                                  \
    C(wallet_balance)                                                                                                  \
    C(wallet_receive)                                                                                                  \
    C(wallet_ls)                                                                                                       \
    C(wallet_backup)                                                                                                   \
    C(wallet_watch)                                                                                                    \
    C(wallet_label)                                                                                                    \
    C(wallet_labels)                                                                                                   \
    C(tx_send)                                                                                                         \
    C(tx_show)                                                                                                         \
    C(tx_bond)                                                                                                         \
    C(tx_unbond)                                                                                                       \
    C(tx_rule)                                                                                                         \
    C(tx_build)                                                                                                        \
    C(tx_sign)                                                                                                         \
    C(tx_broadcast)                                                                                                    \
    C(tx_history)                                                                                                      \
    C(models)                                                                                                          \
    C(model_check)                                                                                                     \
    C(model_import)                                                                                                    \
    C(model_adapt)                                                                                                     \
    C(model_publish)                                                                                                   \
    C(model_pull)                                                                                                      \
    C(model_verify)                                                                                                    \
    C(model_rm)                                                                                                        \
    C(model_show)                                                                                                      \
    C(data_add)                                                                                                        \
    C(data_ls)                                                                                                         \
    C(data_show)                                                                                                       \
    C(data_buy)                                                                                                        \
    C(data_grant)                                                                                                      \
    C(data_get)                                                                                                        \
    C(bounty_post)                                                                                                     \
    C(bounty_ls)                                                                                                       \
    C(bounty_show)                                                                                                     \
    C(bounty_offer)                                                                                                    \
    C(bounty_accept)                                                                                                   \
    C(completion)                                                                                                      \
    C(jobs)                                                                                                            \
    C(job_show)                                                                                                        \
    C(job_verify)                                                                                                      \
    C(job_challenge)                                                                                                   \
    C(share_plan)                                                                                                      \
    C(share_start)                                                                                                     \
    C(share_set)                                                                                                       \
    C(share_pause)                                                                                                     \
    C(share_resume)                                                                                                    \
    C(share_finish)                                                                                                    \
    C(share_stop)                                                                                                      \
    C(earn)                                                                                                            \
    C(share_why)                                                                                                       \
    C(share_status)                                                                                                    \
    C(hop_set)                                                                                                         \
    C(hop_rm)                                                                                                          \
    C(hop_ls)                                                                                                          \
    C(hop_allow)                                                                                                       \
    C(hop_deny)                                                                                                        \
    C(hop_check)                                                                                                       \
    C(chat)                                                                                                            \
    C(run)                                                                                                             \
    C(embed)                                                                                                           \
    C(logits)                                                                                                          \
    C(bench)                                                                                                           \
    C(perplexity)                                                                                                      \
    C(train)                                                                                                           \
    C(verify)                                                                                                          \
    C(tokenize)                                                                                                        \
    C(detokenize)                                                                                                      \
    C(template)

#define C(name) int cmd_##name(const struct cli *cli, const struct args *args);
COMMANDS(C)
#undef C

/* The table, for what is made of it. NULL behind the last. */
const struct command *commands_at(unsigned i);
const struct option_spec *commands_globals(void);
#define COMMANDS_EXIT_TEXT "0 done, 1 refused or failed, 2 no daemon was reached, 3 wrong usage, 4 waited too long"
/* cmd_completion.c: all of it as a man page, in roff. */
void print_man(void);

extern const struct option_spec cmd_events_options[];
extern const struct option_spec cmd_jobs_options[];
extern const struct option_spec cmd_key_new_options[];
extern const struct option_spec cmd_peer_ban_options[];
extern const struct option_spec cmd_chain_wait_options[];
extern const struct option_spec cmd_chain_testimony_options[];
extern const struct option_spec cmd_wallet_new_options[];
extern const struct option_spec cmd_wallet_restore_options[];
extern const struct option_spec cmd_wallet_receive_options[];
extern const struct option_spec cmd_wallet_watch_options[];
extern const struct option_spec cmd_wallet_label_options[];
extern const struct option_spec cmd_tx_send_options[];
extern const struct option_spec cmd_tx_history_options[];
extern const struct option_spec cmd_tx_build_options[];
extern const struct option_spec cmd_tx_sign_options[];
extern const struct option_spec cmd_tx_spend_options[];
extern const struct option_spec cmd_model_import_options[];
extern const struct option_spec cmd_model_pull_options[];
extern const struct option_spec cmd_model_adapt_options[];
extern const struct option_spec cmd_model_publish_options[];
extern const struct option_spec cmd_data_add_options[];
extern const struct option_spec cmd_data_buy_options[];
extern const struct option_spec cmd_data_grant_options[];
extern const struct option_spec cmd_data_get_options[];
extern const struct option_spec cmd_bounty_post_options[];
extern const struct option_spec cmd_bounty_show_options[];
extern const struct option_spec cmd_bounty_offer_options[];
extern const struct option_spec cmd_bounty_accept_options[];
extern const struct option_spec cmd_job_show_options[];
extern const struct option_spec cmd_share_plan_options[];
extern const struct option_spec cmd_share_start_options[];
extern const struct option_spec cmd_share_set_options[];
extern const struct option_spec cmd_earn_options[];
extern const struct option_spec cmd_share_finish_options[];
extern const struct option_spec cmd_chat_options[];
extern const struct option_spec cmd_run_options[];
extern const struct option_spec cmd_embed_options[];
extern const struct option_spec cmd_logits_options[];
extern const struct option_spec cmd_bench_options[];
extern const struct option_spec cmd_perplexity_options[];
extern const struct option_spec cmd_train_options[];
extern const struct option_spec cmd_verify_options[];
extern const struct option_spec cmd_tokenize_options[];
extern const struct option_spec cmd_detokenize_options[];
extern const struct option_spec cmd_template_options[];

#endif
