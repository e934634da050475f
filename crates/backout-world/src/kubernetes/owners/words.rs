//! What would undo a way back, and what to do about it.

use super::{Owner, Tool, moved};

impl Owner {
    /// Whether a tool is known to undo what we move, by itself.
    #[must_use]
    pub fn undoes(&self) -> bool {
        !self.left_alone && self.automation.is_some_and(|automation| automation.self_heal)
    }

    /// What may undo a way back, in words; `None` if no tool does, or it was told not to.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        (self.tool != Tool::None && !self.left_alone).then(|| self.in_words())
    }

    /// What would undo what we move on the object, and exactly what to write where so that it
    /// does not.
    #[must_use]
    pub fn in_words(&self) -> String {
        let object = format!("{} {}", self.kind, self.name);
        let fields = self.fields(".").join(" and ");
        let who = match &self.tool {
            Tool::None => {
                return format!("{object}: no tool is known to write it");
            }
            Tool::Helm { release } => {
                return format!(
                    "{object} belongs to Helm release {release}: the next `helm upgrade` writes \
                     what the chart says of {fields}. Leave that out of the chart, or do not \
                     upgrade while a rollout runs"
                );
            }
            Tool::ArgoCd { application, .. } => format!("Argo CD Application {application}"),
            Tool::FluxKustomization { namespace, name } => {
                format!("Flux Kustomization {namespace}/{name}")
            }
            Tool::FluxHelmRelease { namespace, name } => {
                format!("Flux HelmRelease {namespace}/{name}")
            }
        };
        format!("{object} belongs to {who}: {}. {}", self.does(), self.remedy())
    }

    fn does(&self) -> String {
        let fields = self.fields(".").join(" and ");
        match self.automation {
            None => format!("whether it undoes changes of {fields} could not be read"),
            Some(automation) if automation.self_heal => {
                format!("it undoes changes of {fields} by itself")
            }
            Some(automation) if automation.suspended => {
                format!("it does nothing by itself now, but its next sync undoes {fields}")
            }
            Some(_) => format!("it leaves changes alone, but its next sync undoes {fields}"),
        }
    }

    fn remedy(&self) -> String {
        match &self.tool {
            Tool::ArgoCd { .. } => {
                let paths = self.fields(".");
                let paths: Vec<String> =
                    paths.iter().map(|path| format!("        - .{path}\n")).collect();
                let group = match self.group.as_str() {
                    "" => String::new(),
                    group => format!("group: {group}\n      "),
                };
                format!(
                    "Add to the Application:\n  spec:\n    ignoreDifferences:\n    - {group}kind: \
                     {}\n      name: {}\n      jqPathExpressions:\n{}    syncPolicy:\n      \
                     syncOptions:\n      - RespectIgnoreDifferences=true\n",
                    self.kind,
                    self.name,
                    paths.concat()
                )
            }
            Tool::FluxKustomization { .. } => format!(
                "Flux cannot leave single fields alone that Git names: add to {} {} in Git\n  \
                 metadata:\n    annotations:\n      kustomize.toolkit.fluxcd.io/ssa: \
                 IfNotPresent\n",
                self.kind, self.name
            ),
            Tool::FluxHelmRelease { .. } => format!(
                "Add to the HelmRelease:\n  spec:\n    driftDetection:\n      ignore:\n      - \
                 paths: [{}]\n        target:\n          kind: {}\n          name: {}\n",
                self.fields("/")
                    .iter()
                    .map(|path| format!("/{path}"))
                    .collect::<Vec<_>>()
                    .join(", "),
                self.kind,
                self.name
            ),
            Tool::Helm { .. } | Tool::None => String::new(),
        }
    }

    /// What is moved on the object, with this between the parts of each path.
    fn fields(&self, separator: &str) -> Vec<String> {
        moved(&self.kind).iter().map(|path| path.join(separator)).collect()
    }
}
