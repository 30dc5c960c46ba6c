//! The methods that are known by name.

use std::fmt::Debug;
use std::sync::Arc;

use super::published::at_budget::AtBudget;
use super::{Plan, PlanError, PlanSetting, Selector, Site, methods};
use crate::did_you_mean;

/// What listings, help and reports say of a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MethodCard {
    /// One sentence: which tokens it keeps.
    pub summary: &'static str,
    /// Where it comes from.
    pub source: &'static str,
}

/// What a method is to a study.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MethodRole {
    /// What others are held to; in every study by default.
    Control,
    /// What others are held to; where it is asked for.
    OptionalControl,
    /// What a study asks about.
    Studied,
}

/// A way to prune, by name.
pub trait PruningMethod: Debug + Send + Sync {
    /// Unique; in configurations, flags, cells and reports.
    fn name(&self) -> &str;

    /// What is said of it.
    fn card(&self) -> MethodCard;

    /// What it is to a study.
    fn role(&self) -> MethodRole {
        MethodRole::Studied
    }

    /// Whether it runs once per budget.
    fn takes_budget(&self) -> bool {
        true
    }

    /// Whether it does something else for another K.
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

    /// What it does with a model, an image size and a budget.
    ///
    /// # Errors
    /// A setting that it can't follow.
    fn plan(&self, setting: &PlanSetting) -> Result<Plan, PlanError>;
}

/// A method of one selector at one site: the shortest way to one's own.
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

    /// `selector` at one site, whatever K is.
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

/// No method has the name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown method `{name}`{}; expected one of: {}",
    did_you_mean(name, known.iter().map(String::as_str)),
    known.join(", ")
)]
pub struct UnknownMethod {
    /// The name as given.
    pub name: String,
    /// The names that there are.
    pub known: Vec<String>,
}

/// Two methods have the same name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a method named `{name}` is registered already")]
pub struct DuplicateMethod {
    /// The name.
    pub name: String,
}

/// What others are held to, and FastV's rule over all heads.
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

/// The field's published methods, each set by a study's budget.
fn published() -> impl Iterator<Item = Arc<dyn PruningMethod>> {
    AtBudget::all().map(|method| -> Arc<dyn PruningMethod> { Arc::new(method) })
}

/// The methods that are known by name, in the order of listings and grids.
#[derive(Debug, Clone)]
pub struct MethodRegistry {
    methods: Vec<Arc<dyn PruningMethod>>,
}

impl MethodRegistry {
    /// Every method that comes with this crate.
    pub fn standard() -> MethodRegistry {
        MethodRegistry {
            methods: controls().into_iter().chain(published()).collect(),
        }
    }

    /// Adds a method.
    ///
    /// # Errors
    /// A name that is taken.
    pub fn register(
        &mut self,
        method: impl PruningMethod + 'static,
    ) -> Result<(), DuplicateMethod> {
        self.add(Arc::new(method))
    }

    /// As [`MethodRegistry::register`], for a method that is shared.
    ///
    /// # Errors
    /// As there.
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

    /// What others are held to.
    pub fn controls(&self) -> impl Iterator<Item = &Arc<dyn PruningMethod>> {
        self.iter()
            .filter(|method| method.role() != MethodRole::Studied)
    }

    /// The method of a name.
    ///
    /// # Errors
    /// There is none.
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
