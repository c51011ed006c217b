//! Questions of the engine's providers, answered one after the other.
//!
//! A provider's function is written as if every call were answered at once. Here the first call without an answer ends it; the call is
//! made, its answer is kept, and the function runs again: it never waits, and the same call is made once.

use std::future::Future;

use secret_sync::provider::ProviderError;

/// Calls with their answers, and the call that has none yet.
#[derive(Debug)]
pub(crate) struct Asked<Q, A> {
    answers: Vec<(String, A)>,
    pending: Option<(String, Q)>,
}

impl<Q, A> Default for Asked<Q, A> {
    fn default() -> Self {
        Self { answers: Vec::new(), pending: None }
    }
}

impl<Q, A: Clone> Asked<Q, A> {
    /// The answer to the call that `name` tells from all others; `None` when it has to be made first.
    pub(crate) fn answer(&mut self, name: String, question: Q) -> Option<A> {
        if let Some((_, answer)) = self.answers.iter().find(|(known, _)| *known == name) {
            return Some(answer.clone());
        }
        self.pending.get_or_insert((name, question));
        None
    }

    /// The call that has no answer.
    pub(crate) fn take(&mut self) -> Option<(String, Q)> {
        self.pending.take()
    }

    /// Keeps an answer.
    pub(crate) fn keep(&mut self, name: String, answer: A) {
        self.answers.push((name, answer));
    }
}

/// What has calls to be answered.
pub(crate) trait Recorded {
    /// A call.
    type Question: Send;
    /// Its answer.
    type Answer: Clone + Send;

    /// The calls.
    fn asked(&mut self) -> &mut Asked<Self::Question, Self::Answer>;
}

/// Runs `function` until it has its result, making each call by `ask`.
pub(crate) async fn drive<R, T, F>(
    recorded: &mut R,
    mut function: impl FnMut(&mut R) -> Result<T, ProviderError> + Send,
    ask: impl Fn(R::Question) -> F + Send,
) -> Result<T, ProviderError>
where
    R: Recorded + Send,
    T: Send,
    F: Future<Output = R::Answer> + Send,
{
    for _ in 0..MOST_CALLS {
        let outcome = function(recorded);
        let Some((name, question)) = recorded.asked().take() else { return outcome };
        let answer = ask(question).await;
        recorded.asked().keep(name, answer);
    }
    Err(ProviderError::Failed(format!("more than {MOST_CALLS} calls for one request: name fewer secrets")))
}

/// Calls that one request may take: a search reads every secret that it finds.
const MOST_CALLS: usize = 10_000;
