//! The registry of named methods.

use std::fmt::Debug;
use std::sync::Arc;

use super::published::at_budget::AtBudget;
use super::{Plan, PlanError, PlanSetting, Selector, Site, methods};
use crate::did_you_mean;

/// Description of a method in listings, help and reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MethodCard {
    /// One sentence: which tokens it keeps.
    pub summary: &'static str,
    /// Its origin.
    pub source: &'static str,
}

/// The role of a method in a study.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MethodRole {
    /// A control that is in every study by default.
    Control,
    /// A control that runs on request.
    OptionalControl,
    /// A method under study.
    Studied,
}

/// A named pruning method.
pub trait PruningMethod: Debug + Send + Sync {
    /// Unique name in configurations, flags, cells and reports.
    fn name(&self) -> &str;

    /// Its description.
    fn card(&self) -> MethodCard;

    /// Its role in a study.
    fn role(&self) -> MethodRole {
        MethodRole::Studied
    }

    /// Whether it runs once per budget.
    fn takes_budget(&self) -> bool {
        true
    }

    /// Whether its result depends on K.
    fn takes_prune_layer(&self) -> bool {
        true
    }

    /// Whether it runs once per seed.
    fn takes_seed(&self) -> bool {
        false
    }

    /// Whether it reads a query strategy's rows.
    fn takes_query(&self) -> bool {
        false
    }

    /// Its plan for a model, an image size and a budget.
    ///
    /// # Errors
    /// A setting that the method can't meet.
    fn plan(&self, setting: &PlanSetting) -> Result<Plan, PlanError>;
}

/// A method with one selector at one site: the shortest way to define a method of your own.
#[derive(Debug, Clone)]
pub struct OneStage {
    name: String,
    card: MethodCard,
    site: Option<Site>,
    selector: Arc<dyn Selector>,
}

impl OneStage {
    /// `selector` after layer K.
    pub fn after_prune_layer(
        name: &str,
        card: MethodCard,
        selector: impl Selector + 'static,
    ) -> OneStage {
        OneStage {
            name: name.to_owned(),
            card,
            site: None,
            selector: Arc::new(selector),
        }
    }

    /// `selector` at one site, independent of K.
    pub fn at(
        name: &str,
        card: MethodCard,
        site: Site,
        selector: impl Selector + 'static,
    ) -> OneStage {
        OneStage {
            site: Some(site),
            ..OneStage::after_prune_layer(name, card, selector)
        }
    }
}

impl PruningMethod for OneStage {
    fn name(&self) -> &str {
        &self.name
    }

    fn card(&self) -> MethodCard {
        self.card
    }

    fn takes_prune_layer(&self) -> bool {
        self.site.is_none()
    }

    fn plan(&self, setting: &PlanSetting) -> Result<Plan, PlanError> {
        let Some(site) = self.site else {
            return setting.staged(Arc::clone(&self.selector));
        };
        let kept = if site.depth() == 0 {
            setting.kept_before_decoder()?
        } else {
            let at_site = PlanSetting {
                prune_layer: site.depth(),
                ..setting.clone()
            };
            at_site.kept_after_layer()?
        };
        Ok(Plan::one_stage(site, Arc::clone(&self.selector), kept))
    }
}

/// An unknown method.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown method `{name}`{}; expected one of: {}",
    did_you_mean(name, known.iter().map(String::as_str)),
    known.join(", ")
)]
pub struct UnknownMethod {
    /// The given name.
    pub name: String,
    /// The known names.
    pub known: Vec<String>,
}

/// A duplicate method name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a method named `{name}` is registered already")]
pub struct DuplicateMethod {
    /// The name.
    pub name: String,
}

/// The controls, and FastV's rule over all heads.
fn controls() -> Vec<Arc<dyn PruningMethod>> {
    vec![
        Arc::new(methods::Vanilla),
        Arc::new(methods::NoImage),
        Arc::new(methods::DropAll),
        Arc::new(methods::AllHeads),
        Arc::new(methods::Random),
        Arc::new(methods::UniformGrid),
        Arc::new(methods::Oracle),
        Arc::new(methods::Pool),
        Arc::new(methods::Downsample),
    ]
}

/// The published methods, each set by a study's budget.
fn published() -> impl Iterator<Item = Arc<dyn PruningMethod>> {
    AtBudget::all().map(|method| -> Arc<dyn PruningMethod> { Arc::new(method) })
}

/// The named methods, in the order of listings and grids.
#[derive(Debug, Clone)]
pub struct MethodRegistry {
    methods: Vec<Arc<dyn PruningMethod>>,
}

impl MethodRegistry {
    /// Every method of this crate.
    pub fn standard() -> MethodRegistry {
        MethodRegistry {
            methods: controls().into_iter().chain(published()).collect(),
        }
    }

    /// Adds a method.
    ///
    /// # Errors
    /// A duplicate name.
    pub fn register(
        &mut self,
        method: impl PruningMethod + 'static,
    ) -> Result<(), DuplicateMethod> {
        self.add(Arc::new(method))
    }

    /// As [`MethodRegistry::register`], for a shared method.
    ///
    /// # Errors
    /// As [`MethodRegistry::register`].
    pub fn add(&mut self, method: Arc<dyn PruningMethod>) -> Result<(), DuplicateMethod> {
        if self.methods.iter().any(|m| m.name() == method.name()) {
            return Err(DuplicateMethod {
                name: method.name().to_owned(),
            });
        }
        self.methods.push(method);
        Ok(())
    }

    /// All methods.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn PruningMethod>> {
        self.methods.iter()
    }

    /// The controls.
    pub fn controls(&self) -> impl Iterator<Item = &Arc<dyn PruningMethod>> {
        self.iter()
            .filter(|method| method.role() != MethodRole::Studied)
    }

    /// The method with this name.
    ///
    /// # Errors
    /// An unknown name.
    pub fn get(&self, name: &str) -> Result<&Arc<dyn PruningMethod>, UnknownMethod> {
        let found = self.iter().find(|method| method.name() == name);
        found.ok_or_else(|| UnknownMethod {
            name: name.to_owned(),
            known: self.iter().map(|m| m.name().to_owned()).collect(),
        })
    }
}

impl Default for MethodRegistry {
    fn default() -> MethodRegistry {
        MethodRegistry::standard()
    }
}
